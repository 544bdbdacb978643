package main

func ofAdopt() []mutant {
	return []mutant{{
		name: "the news of the aliases of a tenant that is gone",
		file: "internal/catalog/delete.go",
		old:  "uncount, regdb.RemoveAliases(fence), forget}",
		new:  "uncount, forget}",
		test: "./registry TestRoutersForgetAnAliasThatMoves",
	}, {
		name: "an adoption that fails keeps the database",
		file: "provision/teardown.go",
		old:  "if j.claim.KeepDatabase {",
		new:  "if false {",
		test: "./provision TestAdoptionThatFailsIsTakenBack",
	}, {
		name: "an adopted database is known by its tag",
		file: "provision/catalogstate.go",
		old:  "return t.Adopted && tagged ||",
		new:  "return t.Adopted ||",
		test: "./provision TestAdoptedDatabaseIsATenantsAsAnyIs",
	}, {
		name: "an adoption looks for another's tag",
		file: "provision/adoptable.go",
		old:  "if tagged && tag.Tenant != t.ID ||",
		new:  "if",
		test: "./provision TestWhatCannotBeAdoptedIsLeftAlone",
	}, {
		name: "a release puts back what PUBLIC had",
		file: "provision/release.go",
		old:  "for _, privilege := range was.Public {",
		new:  "for _, privilege := range was.Public[:0] {",
		test: "./provision TestReleaseIsTheWayBack",
	}, {
		name: "the configuration of a server's pools",
		file: "tenancy/pool.go",
		old:  "if own := cfg.Bases[ep.Server]; own != nil {",
		new:  "if own := cfg.Bases[ep.Server]; false {",
		test: "./provision TestServersWithAdministratorsOfTheirOwn",
	}}
}
