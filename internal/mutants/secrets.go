package main

func ofSecrets() []mutant {
	return []mutant{{
		name: "messages of data exceptions are withheld",
		file: "internal/pgerr/visible.go",
		old:  "\"0A 08 25 2B",
		new:  "\"0A 08 22 25 2B",
		test: "./internal/pgerr TestErrorSaysWhatHoldsNoData|TestDriverErrorsLoseWhatIsSecret",
	}, {
		name: "what a function raises is withheld, whatever its SQLSTATE",
		file: "internal/pgerr/visible.go",
		old:  "\"exec_stmt_raise\", ",
		new:  "",
		test: "./internal/pgerr TestErrorSaysWhatHoldsNoData|TestDriverErrorsLoseWhatIsSecret",
	}, {
		name: "an error of the driver's beside a reduced one is found",
		file: "internal/pgerr/error.go",
		old:  "\tcase interface{ Unwrap() []error }:\n",
		new:  "\tcase interface{ Unwrap() []error; never() }:\n",
		test: "./internal/pgerr TestDriverErrorsLoseWhatIsSecret",
	}, {
		name: "what was put around a reduced error is kept",
		file: "internal/pgerr/error.go",
		old:  "\tif !holdsDriverError(err) {\n\t\treturn err\n",
		new:  "\tif err == nil {\n\t\treturn err\n",
		test: "./provision TestErrorOfABuildSaysWhereAndWhat",
	}, {
		name: "refusal of what IDNA maps (NFKC and case folding)",
		file: "internal/regdb/email.go",
		old:  "if err != nil || lower != ascii && lower != unicode {",
		new:  "if err != nil {",
		test: "./registry TestAcceptedAddressesAreOneOnlyIfTheyMeanTheSame",
	}, {
		name: "refusal of a local part outside of ASCII (mapped instead)",
		file: "internal/regdb/email.go",
		old:  "local, domain, ok := strings.Cut(address, \"@\")\n",
		new:  "address = strings.ToLower(address)\n\tlocal, domain, ok := strings.Cut(address, \"@\")\n",
		test: "./registry TestAcceptedAddressesAreOneOnlyIfTheyMeanTheSame|TestParseEmailFollowsItsRules",
	}, {
		name: "dots of an address are left alone",
		file: "internal/regdb/email.go",
		old:  "\tnormalized := lowerASCII(local) + \"@\" + domain",
		new:  "\tnormalized := strings.ReplaceAll(lowerASCII(local), \".\", \"\") + \"@\" + domain",
		test: "./registry TestAcceptedAddressesAreOneOnlyIfTheyMeanTheSame",
	}, {
		name: "a key in the blind index (an empty one)",
		file: "registry/keyring/keyring.go",
		old:  "mac := hmac.New(sha256.New, k.Secret)",
		new:  "mac := hmac.New(sha256.New, nil)",
		test: "./registry TestDictionaryFindsNobodyInTheDump",
	}, {
		name: "domain separation of the blind index",
		file: "internal/regdb/sealed.go",
		old:  "MACs(\"v1|admin_email_index|email|\" + normalized)",
		new:  "MACs(normalized)",
		test: "./registry TestDictionaryFindsNobodyInTheDump",
	}, {
		name: "the owner tag of another tenant is refused",
		file: "tenancy/ownertag.go",
		old:  "case m.Tenant != t.ID:",
		new:  "case m.Tenant != t.ID && false:",
		test: "./provision TestRowThatPointsAtAnotherTenantsDatabaseServesNobody",
	}, {
		name: "a host of a row is one host",
		file: "internal/pgtarget/pgtarget.go",
		old:  "if strings.ContainsAny(host, \",\\x00\") {",
		new:  "if strings.ContainsAny(host, \"\\x00\") {",
		test: "./tenancy TestBadEndpointsAreRefused",
	}, {
		name: "no zero byte in a connection's parameters",
		file: "tenancy/pool.go",
		old:  "if strings.ContainsRune(v, 0) {",
		new:  "if strings.ContainsRune(v, 0) && false {",
		test: "./tenancy TestHostileRowReachesNoOtherAddressAndSetsNothing",
	}, {
		name: "typed fields (a connection string instead)",
		file: "tenancy/pool.go",
		old:  "\tcc.Database = ep.Database\n",
		new:  "\tcc.Database = ep.Database\n\tif other, err := pgx.ParseConfig(\"dbname=\" + ep.Database); err == nil {\n\t\tcc.Host, cc.Port, cc.Database, cc.RuntimeParams = other.Host, other.Port, other.Database, other.RuntimeParams\n\t}\n",
		test: "./tenancy TestHostileRowReachesNoOtherAddressAndSetsNothing",
	}, {
		name: "a role without attributes (NOCREATEDB, NOCREATEROLE)",
		file: "provision/database.go",
		old:  "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS\" +",
		new:  "LOGIN NOSUPERUSER CREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS\" +",
		test: "./provision TestRoleOfATenantReachesNothingOfAnother",
	}, {
		name: "no right of a role but to connect",
		file: "provision/database.go",
		old:  "\t\tGRANT CONNECT ON DATABASE $database TO $role;\n",
		new:  "\t\tGRANT ALL ON DATABASE $database TO $role;\n",
		test: "./provision TestRoleOfATenantReachesNothingOfAnother",
	}, {
		name: "another try after a refused password",
		file: "tenancy/passwordretry.go",
		old:  "again := err.Code == pgerr.InvalidPassword &&",
		new:  "again := false && err.Code == pgerr.InvalidPassword &&",
		test: "./tenancy TestPasswordThatWasReplacedFailsNoQuery|TestPasswordThatIsNotGoodYetFailsNoQuery",
	}, {
		name: "the directory is asked before that",
		file: "tenancy/passwordretry.go",
		old:  "\tp.config.Password = rec.tenant.Endpoint.Password.Reveal()\n",
		new:  "",
		test: "./tenancy TestPasswordThatWasReplacedFailsNoQuery",
	}, {
		name: "the registry learns of a password before the role has it",
		file: "provision/rotate.go",
		old:  "\tif err == nil {\n\t\terr = a.storePassword(ctx, password)\n\t}\n",
		new:  "\t_ = a.storePassword\n",
		test: "./provision TestAllPasswordsAreRotatedAndNoRequestFails",
	}, {
		name: "a configuration that does not print",
		file: "provision/config.go",
		old:  "// Format implements [fmt.Formatter]: a configuration shows its prefix.\nfunc (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.text()) }\n",
		new:  "",
		test: "./internal/secrecy TestNothingExportedPrintsASecret",
	}}
}
