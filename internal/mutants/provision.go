package main

func ofProvision() []mutant {
	return []mutant{{
		name: "the e-mail stays taken until the database is gone",
		file: "provision/undo.go",
		old:  `{{"drop", j.drop}, {"undo steps", j.undoSteps}, {"forget", j.forget}}`,
		new:  `{{"forget", j.forget}, {"drop", j.drop}, {"undo steps", j.undoSteps}}`,
		test: "./provision TestStepsAreUndoneInReverseOrderAndRetried|TestDropOfADatabaseThatIsNotOursStopsBeforeTheNameIsFree",
	}, {
		name: "REVOKE from PUBLIC",
		file: "provision/wall.go",
		old:  "\t\tREVOKE ALL ON DATABASE $database FROM PUBLIC;\n",
		new:  "",
		test: "./provision TestRoleOfOneTenantIsKeptOutOfAnother",
	}, {
		name: "a database that cannot be connected to while it is made",
		file: "provision/template.go",
		old:  "OWNER %s ALLOW_CONNECTIONS false",
		new:  "OWNER %s ALLOW_CONNECTIONS true",
		test: "./provision TestDatabaseIsClosedWhileItIsMade",
	}, {
		name: "the proof that a database is ours",
		file: "provision/undo.go",
		old:  "foreign := f.database && !j.p.ownsDatabase(f, t.ID) || j.p.foreignRole(f, t)",
		new:  "foreign := false",
		test: "./provision TestDropOfADatabaseThatIsNotOursStopsBeforeTheNameIsFree",
	}, {
		name: "the fingerprint before an upgrade's commit",
		file: "provision/upgrade.go",
		old:  "if diff := got.Diff(want); diff != nil {",
		new:  "if diff := got.Diff(want); diff != nil && false {",
		test: "./provision TestUpgradeThatMissesTheSchemaIsRolledBack",
	}, {
		name: "the lock that a dead process's CREATE DATABASE holds",
		file: "provision/engine.go",
		old:  "if err := pglock.Seize(ctx, conn, j.claim.Tenant.Endpoint.Database); err != nil {",
		new:  "if err := ctx.Err(); err != nil && pglock.Seize(ctx, conn, \"\") != nil {",
		test: "./provision TestProcessKilledWhileItsDatabaseIsMade",
	}, {
		name: "the keys of sign-ups that failed and are gone",
		file: "registry/intent.go",
		old:  "\t\t\t\tUNION ALL SELECT id, 'failing', request_hash, retired_at FROM pgtenancy.retired_ids\n\t\t\t\t\tWHERE idempotency_key = $1 AND retired_at > now() - interval '24 hours'\n",
		new:  "",
		test: "./registry TestAForgottenSignUpsKeyIsKnownForADay",
	}, {
		name: "the fence of a keeper that gives a warm database away",
		file: "registry/warm.go",
		old:  "WHERE `+fence+` AND state = 'making'`, c)",
		new:  "WHERE id = $1 AND ($2::int IS NOT NULL) AND ($3::text IS NOT NULL) AND state = 'making'`, c)",
		test: "./registry TestWarmDatabaseOfADeadMakerIsFinishedOrRetired",
	}, {
		name: "only a warm database that is whole is taken",
		file: "registry/intent.go",
		old:  "AND state = 'ready'\n\t\t\t\tORDER BY (id",
		new:  "\n\t\t\t\tORDER BY (id",
		test: "./registry TestWarmDatabaseThatIsNotReadyIsNotTaken",
	}, {
		name: "the proof that a role is ours",
		file: "provision/database.go",
		old:  "\tm, ok := tenancy.ParseMark(f.roleNote)\n\treturn ok && m.Tenant == id\n",
		new:  "\treturn f.role || id == \"\"\n",
		test: "./provision TestNothingThatIsNotProvablyOursIsDropped",
	}, {
		name: "the mark in the proof that a database is ours",
		file: "provision/database.go",
		old:  "return f.owner == p.names.ownerRole() && (f.comment == \"\" || ok && m.Tenant == id)",
		new:  "return f.owner == p.names.ownerRole() && (f.comment == \"\" || ok || m.Tenant == id)",
		test: "./provision TestNothingThatIsNotProvablyOursIsDropped",
	}, {
		name: "the owner in the proof that a database is ours",
		file: "provision/database.go",
		old:  "return f.owner == p.names.ownerRole() && (",
		new:  "return (",
		test: "./provision TestNothingThatIsNotProvablyOursIsDropped",
	}, {
		name: "what was half dropped is dropped and not changed",
		file: "provision/database.go",
		old:  "\tif f.database && !f.broken {\n",
		new:  "\tif f.database {\n",
		test: "./provision TestInterruptedDropKeepsItsNamesUntilItIsEnded",
	}, {
		name: "sign-ups do not wait for drops that wait",
		file: "provision/reconcile.go",
		old:  "claim.Tenant.State != tenancy.Provisioning})",
		new:  "false})",
		test: "./provision TestStoppedBackendHoldsUpNothingButDrops",
	}, {
		name: "a pass that looks for others while drops wait",
		file: "provision/reconcile.go",
		old:  "case <-time.After(r.p.cfg.Interval): //",
		new:  "case <-time.After(time.Hour): //",
		test: "./provision TestStoppedBackendHoldsUpNothingButDrops",
	}, {
		name: "tenants are listed by the page",
		file: "provision/survey.go",
		old:  "const page = 1000",
		new:  "const page = 1",
		test: "./provision TestPassOverManyTenantsIsCheapAndAccusesNobody",
	}, {
		name: "an inspection does nothing",
		file: "provision/survey.go",
		old:  "case f.database && !r.looks:",
		new:  "case f.database:",
		test: "./provision TestInspectReportsWhatReconcileDoesAndDoesNothing",
	}, {
		name: "a shared role's sessions in other databases go on when a tenant is suspended",
		file: "provision/gate.go",
		old:  "(NOT $2 OR a.datname = $3)",
		new:  "(NOT $2 OR $2 OR a.datname = $3)",
		test: "./provision TestTenantsOfOneRoleAreSuspendedAndDroppedOneByOne",
	}, {
		name: "a shared role is not dropped with a tenant",
		file: "provision/undo.go",
		old:  "if role && !j.p.shares(t.Endpoint) {",
		new:  "if role {",
		test: "./provision TestTenantsOfOneRoleAreSuspendedAndDroppedOneByOne",
	}, {
		name: "the proof that a shared role is kept out",
		file: "provision/gate.go",
		old:  "if err == nil && f.enters {",
		new:  "if err == nil && f.enters && false {",
		test: "./provision TestSuspensionFailsWhileTheSharedRoleCannotBeKeptOut",
	}, {
		name: "the renewal before an upgrade's commit",
		file: "provision/upgrade.go",
		old:  "return p.cfg.Registry.RenewConnections(ctx, t.ID)",
		new:  "return nil",
		test: "./provision TestNoQueryFailsOnceAnUpgradeHasArrived",
	}}
}
