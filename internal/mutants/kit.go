package main

// ofKit has the mechanisms of the kit for tests and of its server.
func ofKit() []mutant {
	return []mutant{{
		name: "a run that has a session is not swept",
		file: "tenancy/tenancytest/sweep.go",
		old:  "WHERE application_name = left(name, 14)",
		new:  "WHERE application_name = name",
		test: "./tenancy/tenancytest TestWhatAKilledProcessLeftGoesWithTheNext",
	}, {
		name: "the sweep at the start",
		file: "tenancy/tenancytest/server.go",
		old:  "\tif s.given {\n",
		new:  "\tif s.given && false {\n",
		test: "./tenancy/tenancytest TestWhatAKilledProcessLeftGoesWithTheNext",
	}, {
		name: "the second of two that make a template gives way",
		file: "tenancy/tenancytest/template.go",
		old:  "pgerr.IsState(err, pgerr.DuplicateDatabase, pgerr.UniqueViolation)",
		new:  "pgerr.IsState(err)",
		test: "./tenancy/tenancytest TestProcessesBesideEachOther",
	}, {
		name: "the role of the tenants",
		file: "tenancy/tenancytest/fleet.go",
		old:  "\tbase.ConnConfig.RuntimeParams[\"role\"] = tenantRole\n",
		new:  "",
		test: "./tenancy/tenancytest TestTenantCannotChangeTheSchema",
	}, {
		name: "an id that is used again is announced",
		file: "tenancy/tenancytest/fleet.go",
		old:  "\tf.Resolver.Invalidate(record.ID, record.Epoch)",
		new:  "\t_ = record.Epoch",
		test: "./tenancy/tenancytest TestIDCanBeUsedAgain",
	}, {
		name: "Strict fails the test",
		file: "tenancy/tenancytest/strict.go",
		old:  "\tif !g.ended {",
		new:  "\tif g.ended {",
		test: "./tenancy/tenancytest TestStrictFailsATestThatUsesAPoolAfterItsLease",
	}, {
		name: "the shell that removes the directory of a process that was killed",
		file: "internal/devpg/server.go",
		old:  "\ts.reaper = startReaper(ctx, dir, s.proc.cmd.Process.Pid)\n",
		new:  "\t_ = startReaper\n",
		test: "./internal/devpg TestServerIsGoneAfterItsProcessIsKilled",
	}}
}
