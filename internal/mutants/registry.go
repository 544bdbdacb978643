package main

func ofRegistry() []mutant {
	return []mutant{{
		name: "LISTEN before the first read",
		file: "registry/follow.go",
		old:  "\tif err := f.hear(ctx, conn); err != nil {\n\t\treturn false, err\n\t}\n\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {\n\t\t\treturn worked, err\n\t\t}\n",
		new:  "\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {\n\t\t\treturn worked, err\n\t\t}\n\t\tif !worked {\n\t\t\tif err := f.hear(ctx, conn); err != nil {\n\t\t\t\treturn false, err\n\t\t\t}\n\t\t}\n",
		test: "./registry TestChangeRightAfterTheFirstReadIsNotMissed",
	}, {
		name: "the read of what was missed after a reconnect",
		file: "registry/follow.go",
		old:  "\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {",
		new:  "\tif f.last != unknown {\n\t\t_ = conn.QueryRow(ctx, \"SELECT version FROM pgtenancy.feed\").Scan(&f.last)\n\t}\n\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {",
		test: "./registry TestFollowMissesNothingWhileItsListenerIsKilled",
	}, {
		name: "the look for gaps between versions",
		file: "registry/resync.go",
		old:  "len(changes) == 0 || changes[0].version != f.last+1",
		new:  "len(changes) == 0",
		test: "./registry TestAFollowerThatWasAwayLongerThanChangesAreKeptHearsOfEveryTenant",
	}, {
		name: "the look at the last change that was seen",
		file: "registry/resync.go",
		old:  "known && changes[0] != f.seen",
		new:  "known && false",
		test: "./registry TestARegistryThatLostChangesIsServedAsItIs",
	}, {
		name: "the key of the blind index (plain SHA-256)",
		file: "registry/keyring.go",
		old:  "mac := hmac.New(sha256.New, key.Secret)",
		new:  "_ = hmac.New\n\t\tmac := sha256.New()",
		test: "./registry TestWhatOldKeysWroteIsStillReadAndUnknownKeysAreAnError|TestTheDumpGivesNothingAway",
	}, {
		name: "tags of an address are left alone",
		file: "registry/email.go",
		old:  "\tnormalized := lowerASCII(local) + \"@\" + domain",
		new:  "\tbare, _, _ := strings.Cut(lowerASCII(local), \"+\")\n\tnormalized := bare + \"@\" + domain",
		test: "./registry TestParseEmailFollowsItsRules",
	}, {
		name: "lower case of ASCII alone (upper case instead)",
		file: "registry/email.go",
		old:  "\tlower := lowerASCII(domain)\n",
		new:  "\tlower := strings.ToLower(strings.ToUpper(domain))\n",
		test: "./registry TestNoRuneMakesTwoAddressesOne|TestParseEmailFollowsItsRules",
	}, {
		name: "UNIQUE on the blind index",
		file: "registry/migrations/00003_admins.sql",
		old:  "CONSTRAINT admin_email_index_bidx_key UNIQUE (bidx)",
		new:  "CONSTRAINT admin_email_index_bidx_key CHECK (true)",
		test: "./registry TestReserveRefusesWhatIsTaken|TestOneOfManyConcurrentReservesOfOneEmailWins",
	}, {
		name: "the fence in the statement that activates",
		file: "registry/claim.go",
		old:  "const fence = `id = $1 AND attempt = $2 AND claim_owner = $3`",
		new:  "const fence = `id = $1 AND ($2::int IS NOT NULL) AND ($3::text IS NOT NULL)`",
		test: "./registry TestEveryWriteUnderALostClaimIsRefused",
	}, {
		name: "the row that a sealed value is bound to",
		file: "registry/seal.go",
		old:  "{ return table + \"|\" + row + \"|\" + column }",
		new:  "{ _ = row; return table + \"|\" + column }",
		test: "./registry TestASealedPasswordMovedToAnotherTenantDoesNotOpen|TestSealedValuesDoNotOpenInAnotherRow",
	}, {
		name: "the commit of a session's revocation",
		file: "registry/session.go",
		old:  "_, err = tx.Exec(ctx, closeSessions(`id = $1`), s.ID)\n",
		new:  "_, err = tx.Exec(ctx, closeSessions(`id = $1`), s.ID)\n\t\t\tif err == nil {\n\t\t\t\terr = refuse(ErrSessionReused)\n\t\t\t}\n",
		test: "./registry TestReuseAfterTheGraceRevokesAndTheRevocationCommits",
	}, {
		name: "the copy of what a claim keeps",
		file: "registry/reserve.go",
		old:  "\tres = res.clone()\n",
		new:  "\t_ = res.clone()\n",
		test: "./registry TestClaimsSessionsAndAdmissionsKeepNoStringOfTheirCallers",
	}, {
		name: "the renewal that a stamp announces",
		file: "registry/state.go",
		old:  "\tRETURNING id, 0::bigint AS epoch\n)` + announce",
		new:  "\tRETURNING id, 0::bigint AS epoch\n) SELECT id FROM changed`",
		test: "./registry TestChangeOfASchemaIsToldAsARenewal",
	}, {
		name: "the renewals among changes that were purged",
		file: "registry/resync.go",
		old:  "change{tenant: id}.tell(f.inv)",
		new:  "_ = whatever",
		test: "./registry TestRenewalThatWasPurgedIsToldOfEveryTenant",
	}}
}
