package main

func ofTokens() []mutant {
	return []mutant{{
		name: "the cooldown of fetches that unknown keys ask for",
		file: "authn/jwks/set.go",
		old:  "!s.closed && now.Sub(s.tried) >= s.cooldown {",
		new:  "!s.closed {",
		test: "./authn/jwks TestFloodOfUnknownKeysCostsOneFetchACooldown",
	}, {
		name: "the bound on requests that wait for a fetch",
		file: "authn/jwks/set.go",
		old:  "s.waiting >= maxWaiting:",
		new:  "s.waiting < 0:",
		test: "./authn/jwks TestRequestsThatWaitForAFetchAreBounded",
	}, {
		name: "the end of a set that is too old",
		file: "authn/jwks/set.go",
		old:  "s.keys != nil && now.Sub(s.fetched) <= s.maxStale",
		new:  "s.keys != nil",
		test: "./authn/jwks TestGoodKeysOutliveFailedFetches",
	}, {
		name: "doubt while the set cannot be fetched",
		file: "authn/jwks/set.go",
		old:  "case fresh && s.err == nil:",
		new:  "case fresh:",
		test: "./authn/jwks TestGoodKeysOutliveFailedFetches",
	}, {
		name: "the keys there are, after a fetch that failed",
		file: "authn/jwks/refresh.go",
		old:  "\tclose(s.flight)\n\ts.flight = nil\n}\n\n// close",
		new:  "\tif err != nil {\n\t\ts.keys = nil\n\t}\n\tclose(s.flight)\n\ts.flight = nil\n}\n\n// close",
		test: "./authn/jwks TestGoodKeysOutliveFailedFetches",
	}, {
		name: "the refusal of an empty set",
		file: "authn/jwks/fetch.go",
		old:  "if len(keys) == 0 {",
		new:  "if len(keys) < 0 {",
		test: "./authn/jwks TestGoodKeysOutliveFailedFetches",
	}, {
		name: "the bound on the length of a set",
		file: "authn/jwks/fetch.go",
		old:  "http.MaxBytesReader(nil, res.Body, maxSetLength)",
		new:  "http.MaxBytesReader(nil, res.Body, maxSetLength<<10)",
		test: "./authn/jwks TestGoodKeysOutliveFailedFetches",
	}, {
		name: "the refusal to be sent elsewhere for a set",
		file: "authn/jwks/fetch.go",
		old:  "if c.CheckRedirect == nil {",
		new:  "if false {",
		test: "./authn/jwks TestGoodKeysOutliveFailedFetches",
	}, {
		name: "the algorithm of a published key",
		file: "authn/jwks/fetch.go",
		old:  "|| m.ALG != jwkset.AlgEdDSA ||",
		new:  "||",
		test: "./authn/jwks TestOnlyEd25519KeysForSignaturesAreTaken",
	}, {
		name: "the use of a published key",
		file: "authn/jwks/fetch.go",
		old:  "|| m.USE != jwkset.UseSig {",
		new:  "{",
		test: "./authn/jwks TestOnlyEd25519KeysForSignaturesAreTaken",
	}, {
		name: "https for a set from another machine",
		file: "authn/jwks/remote.go",
		old:  "!loopback(u.Hostname()):",
		new:  "!loopback(u.Hostname()) && false:",
		test: "./authn/jwks TestNewRemoteReportsEveryViolation",
	}, {
		name: "the refusal to publish a secret",
		file: "authn/jwks/handler.go",
		old:  "case !ok:",
		new:  "case !ok && key.ID() == \"\":",
		test: "./authn/jwks TestHandlerRefusesSecretsAndReportsEveryViolation",
	}, {
		name: "the cache's look whether a key is still there",
		file: "authn/cache.go",
		old:  "ok && c.hasKey(id.KeyID) {",
		new:  "ok {",
		test: "./authn/jwks TestKeyThatIsTakenBackIsRefused|TestKeysRotateUnderLoadWithoutARefusal",
	}, {
		name: "the form of a key's id, before anybody is asked for it",
		file: "authn/verifier.go",
		old:  " || checkKeyID(h.KeyID) != nil {",
		new:  " {",
		test: "./authn TestSourceIsAskedForNothingButKeyIDs",
	}, {
		name: "the key that was asked for, and no other",
		file: "authn/verifier.go",
		old:  "if key.id != h.KeyID || h.Algorithm",
		new:  "if h.Algorithm",
		test: "./authn TestSourceIsAskedForNothingButKeyIDs",
	}, {
		name: "the old key, while what it signed is good",
		file: "authn/verifier.go",
		old:  "\tset, errs := byID(keys)\n",
		new:  "\tset, errs := byID(keys[:min(1, len(keys))])\n",
		test: "./authn TestOldKeysVerifyWhileTheNewOneSigns|TestKeysChangeInAProcessAtWork",
	}}
}
