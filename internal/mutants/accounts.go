package main

func ofAccounts() []mutant {
	return []mutant{{
		name: "the count of an attempt before the key derivation",
		file: "authn/accounts/signin.go",
		old:  "\tadmission, err := a.admit(ctx, a.cfg.Throttle.forSignIn(s, email))\n",
		new:  "\t_ = a.cfg.Hasher.Spend(ctx, s.Password)\n\tadmission, err := a.admit(ctx, a.cfg.Throttle.forSignIn(s, email))\n",
		test: "./authn/accounts TestManySignInsAtOnceAreNoMoreThanOneByOne",
	}, {
		name: "the look at what an attempt at the same time has counted",
		file: "registry/throttle_attempt.go",
		old:  "\tWHERE throttles.held_until IS NULL OR throttles.held_until <= now()\n",
		new:  "",
		test: "./registry TestAttemptsAtOnceAreNoMoreThanOneByOne",
	}, {
		name: "the longest delay",
		file: "registry/throttle_attempt.go",
		old:  "least(excluded.most, excluded.delay * power(",
		new:  "least(1e9, excluded.delay * power(",
		test: "./registry TestAttemptsAreFreeAndThenWaitEverLonger",
	}, {
		name: "the bound of what is remembered of attempts that never end",
		file: "registry/throttle_attempt.go",
		old:  "least(excluded.top, 1 + greatest(",
		new:  "least(1e9, 1 + greatest(",
		test: "./registry TestAttemptsAreFreeAndThenWaitEverLonger",
	}, {
		name: "refused attempts count nowhere",
		file: "registry/throttle_attempt.go",
		old:  "FROM wanted WHERE (SELECT wait FROM held) IS NULL ORDER BY key",
		new:  "FROM wanted WHERE true ORDER BY key",
		test: "./registry TestRefusedAttemptCountsNowhere",
	}, {
		name: "the home that strangers' attempts do not reach",
		file: "registry/throttle_attempt.go",
		old:  "NOT (a.spares AND home.known)",
		new:  "true",
		test: "./registry TestWhoComesFromHomeIsHeldUpByNobodyElse",
	}, {
		name: "the bound of the counts' number",
		file: "registry/throttle_sweep.go",
		old:  "LIMIT greatest(0, (SELECT",
		new:  "LIMIT least(0, (SELECT",
		test: "./registry TestSweepBoundsTheRowsAndSparesHomesAndWhoIsHeld",
	}, {
		name: "the key of what is counted (plain SHA-256)",
		file: "registry/throttle.go",
		old:  "mac := hmac.New(sha256.New, k.index[0].Secret)",
		new:  "_ = hmac.New\n\tmac := sha256.New()",
		test: "./registry TestKeysOfCountsTellNothing",
	}, {
		name: "the count for an e-mail that nobody has",
		file: "authn/accounts/signin.go",
		old:  "\tadmission, err := a.admit(",
		new:  "\tif members, _ := a.cfg.Registry.TenantsByEmail(ctx, email); len(members) == 0 {\n\t\temail = registry.Email{}\n\t}\n\tadmission, err := a.admit(",
		test: "./authn/accounts TestThrottleTellsNothingOfWhoHasAnAccount",
	}, {
		name: "the network of an IPv6 address",
		file: "authn/accounts/throttle.go",
		old:  "bits = 64",
		new:  "bits = 128",
		test: "./authn/accounts TestAddressIsAnIPv4AddressOrAnIPv6Network",
	}, {
		name: "the count of a sign-up",
		file: "authn/accounts/signup.go",
		old:  "a.admit(ctx, a.cfg.Throttle.forSignUp(s))",
		new:  "a.admit(ctx, registry.Attempt{})",
		test: "./authn/accounts TestSignUpsAreThrottledByAddressAndInAll",
	}, {
		name: "the count of what who is signed in guesses",
		file: "authn/accounts/password.go",
		old:  "a.admit(ctx, a.cfg.Throttle.forPassword(adminID))",
		new:  "a.admit(ctx, registry.Attempt{})",
		test: "./authn/accounts TestWhoIsSignedInCannotGuessThePasswordEither",
	}, {
		name: "the withdrawal of an attempt that was shed",
		file: "authn/accounts/signin.go",
		old:  "\t\ta.withdrawn(ctx, admission)\n",
		new:  "",
		test: "./authn/accounts TestAttemptThatWasShedDoesNotCount",
	}, {
		name: "one answer for an admin without a password",
		file: "authn/accounts/authenticate.go",
		old:  "if errors.Is(err, authn.ErrInvalidHash) {",
		new:  "if false {",
		test: "./authn/accounts TestRefusalTakesOneKeyDerivationAndTheSameTime",
	}, {
		name: "whose session it is in the MAC of its tokens",
		file: "registry/token.go",
		old:  "s.ID, counter, s.TenantID, len(s.AdminID), s.AdminID)",
		new:  "s.ID, counter, \"\", 0, \"\")",
		test: "./registry TestSessionThatWasMadeAnothersIsInvalid",
	}, {
		name: "the look at the password after the session was opened",
		file: "authn/accounts/authenticate.go",
		old:  "case profile.PasswordHash == hash:",
		new:  "case true:",
		test: "./authn/accounts TestSignInWithThePasswordBeforeIsOverWhenItWasChangedMeanwhile",
	}, {
		name: "no role from the registry's copy of it",
		file: "authn/accounts/session.go",
		old:  "Email: admin.Email.Reveal()}",
		new:  "Email: admin.Email.Reveal(), Role: admin.Role}",
		test: "./authn/accounts TestRefreshWithoutTheTenantsDatabaseGivesNoRole",
	}, {
		name: "the least time of a refusal",
		file: "authn/accounts/signin.go",
		old:  "\t\tcase <-floor.C:\n",
		new:  "\t\tdefault:\n",
		test: "./authn/accounts TestSignInTellsAStrangerNothing",
	}, {
		name: "the old hash that a rehash replaces and no other",
		file: "authn/accounts/table.go",
		old:  "WHERE id = $1 AND password_hash = $2`",
		new:  "WHERE id = $1 AND $2::text IS NOT NULL`",
		test: "./authn/accounts TestRehashThatComesAfterAChangeOfThePasswordChangesNothing",
	}, {
		name: "the successor for who has lost it",
		file: "registry/session.go",
		old:  "case t.counter == row.counter-1 && row.inGrace:",
		new:  "case false:",
		test: "./registry TestTokenWhoseSuccessorWasLostIsGoodAgain",
	}}
}
