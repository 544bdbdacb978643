package main

func ofRegistry() []mutant {
	return []mutant{{
		name: "LISTEN before the first read",
		file: "registry/follow.go",
		old:  "\tif err := f.listen(ctx, conn); err != nil {\n\t\treturn false, err\n\t}\n\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {\n\t\t\treturn worked, err\n\t\t}\n",
		new:  "\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {\n\t\t\treturn worked, err\n\t\t}\n\t\tif !worked {\n\t\t\tif err := f.listen(ctx, conn); err != nil {\n\t\t\t\treturn false, err\n\t\t\t}\n\t\t}\n",
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
		file: "registry/keyring/keyring.go",
		old:  "mac := hmac.New(sha256.New, k.Secret)",
		new:  "_ = hmac.New\n\tmac := sha256.New()",
		test: "./registry TestWhatOldKeysWroteIsStillReadAndUnknownKeysAreAnError|TestTheDumpGivesNothingAway",
	}, {
		name: "tags of an address are left alone",
		file: "internal/regdb/email.go",
		old:  "\tnormalized := lowerASCII(local) + \"@\" + domain",
		new:  "\tbare, _, _ := strings.Cut(lowerASCII(local), \"+\")\n\tnormalized := bare + \"@\" + domain",
		test: "./registry TestParseEmailFollowsItsRules",
	}, {
		name: "lower case of ASCII alone (upper case instead)",
		file: "internal/regdb/email.go",
		old:  "\tlower := lowerASCII(domain)\n",
		new:  "\tlower := strings.ToLower(strings.ToUpper(domain))\n",
		test: "./registry TestNoRuneMakesTwoAddressesOne|TestParseEmailFollowsItsRules",
	}, {
		name: "UNIQUE on the blind index",
		file: "registry/migrations/00015_email_scope.sql",
		old:  "CONSTRAINT admin_email_index_bidx_key UNIQUE (bidx, scope)",
		new:  "CONSTRAINT admin_email_index_bidx_key CHECK (true)",
		test: "./internal/catalog TestReserveRefusesWhatIsTaken|TestOneOfManyConcurrentReservesOfOneEmailWins",
	}, {
		name: "the scope of an e-mail that is there",
		file: "internal/catalog/reserve.go",
		old:  "(i.tenant_id = $4::text OR NOT $5::boolean)",
		new:  "false",
		test: "./internal/catalog TestEmailOfSeveralTenants",
	}, {
		name: "the fence in the statement that activates",
		file: "internal/catalog/claim.go",
		old:  "const fence = `id = $1 AND attempt = $2 AND claim_owner = $3`",
		new:  "const fence = `id = $1 AND ($2::int IS NOT NULL) AND ($3::text IS NOT NULL)`",
		test: "./internal/catalog TestEveryWriteUnderALostClaimIsRefused",
	}, {
		name: "the row that a sealed value is bound to",
		file: "internal/regdb/sealed.go",
		old:  "{ return table + \"|\" + row + \"|\" + column }",
		new:  "{ _ = row; return table + \"|\" + column }",
		test: "./internal/catalog TestASealedPasswordMovedToAnotherTenantDoesNotOpen|TestSealedValuesDoNotOpenInAnotherRow",
	}, {
		name: "the commit of a session's revocation",
		file: "internal/catalog/session.go",
		old:  "err = closeSessions(ctx, tx, note, `id = $1`, s.ID)\n",
		new:  "err = closeSessions(ctx, tx, note, `id = $1`, s.ID)\n\t\t\tif err == nil {\n\t\t\t\terr = regdb.Refuse(ErrSessionReused)\n\t\t\t}\n",
		test: "./internal/catalog TestReuseAfterTheGraceRevokesAndTheRevocationCommits",
	}, {
		name: "the copy of what a claim keeps",
		file: "internal/catalog/reserve.go",
		old:  "\tres = res.clone()\n",
		new:  "\t_ = res.clone()\n",
		test: "./internal/catalog TestClaimsSessionsAndAdmissionsKeepNoStringOfTheirCallers",
	}, {
		name: "the renewal that a stamp announces",
		file: "internal/catalog/state.go",
		old:  "\tRETURNING id, 0::bigint AS epoch\n)` + regdb.Publish",
		new:  "\tRETURNING id, 0::bigint AS epoch\n) SELECT id FROM changed`",
		test: "./registry TestChangeOfASchemaIsToldAsARenewal",
	}, {
		name: "an alias that changed during its look-up",
		file: "tenancy/alias.go",
		old:  "\t\tl.outdated = true\n\t\tdelete(a.lookups, alias)\n",
		new:  "",
		test: "./tenancy TestAliasThatChangesDuringItsLookUpIsNotKept",
	}, {
		name: "the news of an alias",
		file: "registry/follow.go",
		old:  "\t\t\tr.ForgetAlias(c.alias)\n",
		new:  "\t\t\t_ = r\n",
		test: "./registry TestRoutersForgetAnAliasThatMoves",
	}, {
		name: "the renewals among changes that were purged",
		file: "registry/resync.go",
		old:  "change{tenant: id}.apply(f.inv)",
		new:  "_ = whatever",
		test: "./registry TestRenewalThatWasPurgedIsToldOfEveryTenant",
	}, {
		name: "the casts in Follow's read",
		file: "registry/resync.go",
		old:  "least(f.version, $1::bigint + $2::bigint)",
		new:  "least(f.version, $1 + $2)",
		test: "./registry TestMainPathsRunWithoutTypesFromTheServer",
	}, {
		name: "the look whether a process has ended",
		file: "registry/process.go",
		old:  "\tif !p.sees(other) {\n",
		new:  "\tif true || !p.sees(other) {\n",
		test: "./registry TestOnlyAProcessThatHasEndedIsSeenToHaveEnded|TestRestartedProcessServesWithin2SecondsAndWithinTheBudget",
	}, {
		name: "the count of what a dead process left",
		file: "registry/remains.go",
		old:  "\treturn still, nil\n",
		new:  "\treturn 0 * still, nil\n",
		test: "./registry TestRestartedProcessServesWithin2SecondsAndWithinTheBudget",
	}, {
		name: "the turns of processes that are more than connections",
		file: "registry/share.go",
		old:  "i = (i + s.turn%n*total) % n",
		new:  "i = (i + 0*s.turn) % n",
		test: "./registry TestProcessesTakeTurnsWhereThereAreFewerConnections",
	}, {
		name: "the age of Follow's last read",
		file: "registry/followstat.go",
		old:  "ago > age {",
		new:  "ago > age && ago < 0 {",
		test: "./registry TestFollowLogsTheFirstFailureInARowAndItsEnd",
	}, {
		name: "what an operator has set stays at the next start",
		file: "registry/server.go",
		old:  "insertServer+` ON CONFLICT (name) DO NOTHING`",
		new:  "insertServer+replaceServer",
		test: "./registry TestAddServerKeepsWhatAnOperatorHasSet",
	}, {
		name: "keys that are there are not replaced",
		file: "registry/keyring/create.go",
		old:  "os.Link(f.Name(), path)",
		new:  "os.Rename(f.Name(), path)",
		test: "./registry/keyring TestStartsAtOnceEndWithOneFileOfKeys",
	}}
}
