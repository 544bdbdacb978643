package main

// ofTargets returns the mutants of where a password may go, and of what clients decide.
func ofTargets() []mutant {
	return []mutant{{
		name: "the signature of a server's address",
		file: "registry/keyring/keyring.go",
		old:  "return hmac.Equal([]byte(signature), []byte(s.sign(text)))",
		new:  "return true",
		test: "./registry TestAttackerWhoWritesAddressesToTheRegistryIsNotBelieved",
	}, {
		name: "the server's name in the signature of its address",
		file: "internal/regdb/route.go",
		old:  "a.Name, a.Host, a.Port, a.PooledHost, a.PooledPort)\n}",
		new:  "\"\", a.Host, a.Port, a.PooledHost, a.PooledPort)\n}",
		test: "./registry TestAttackerWhoWritesAddressesToTheRegistryIsNotBelieved",
	}, {
		name: "no new tenant on a server that is not signed",
		file: "internal/catalog/reserve.go",
		old:  "case err != nil:\n\t\t\trefused = err",
		new:  "case err != nil && false:\n\t\t\trefused = err",
		test: "./registry TestAttackerWhoWritesAnAddressToTheRegistryGetsNoNewTenant",
	}, {
		name: "no administrator's connection to a server that is not signed",
		file: "provision/sessions.go",
		old:  "if err := server.Verify(); err != nil {",
		new:  "if err := server.Verify(); err != nil && false {",
		test: "./provision TestAttackerWhoMovesAServerInTheRegistryGetsNoPassword",
	}, {
		name: "SCRAM where the configuration does not name the server",
		file: "internal/pgtarget/pgtarget.go",
		old:  "c.RequireAuth = DefaultRequireAuth",
		new:  "_ = DefaultRequireAuth",
		test: "./tenancy TestAttackerWhoseServerAsksForThePasswordGetsNone",
	}, {
		name: "no TCP host where only sockets are named",
		file: "internal/pgtarget/pgtarget.go",
		old:  "\tif first < 0 {\n\t\treturn nil, ErrTLSUndecided\n\t}\n",
		new:  "\tif first < 0 {\n\t\tfirst = 0\n\t}\n",
		test: "./internal/pgtarget TestHostsThatNoConfigurationDecidesAreRefused",
	}, {
		name: "directories on the way to a keys file",
		file: "registry/keyring/file_unix.go",
		old:  "info.Mode().Perm()&0o022 != 0 && (",
		new:  "info.Mode().Perm()&0o002 != 0 && (",
		test: "./registry/keyring TestAttackerOnTheMachineCannotPutAKeyFileInPlace",
	}, {
		name: "a FIFO does not hang",
		file: "registry/keyring/file_unix.go",
		old:  "|syscall.O_NONBLOCK",
		new:  "",
		test: "./registry/keyring TestAttackerOnTheMachineCannotPutAKeyFileInPlace",
	}, {
		name: "the body before the lease",
		file: "middleware/body.go",
		old:  "if m.cfg.BodyFirst == 0 ||",
		new:  "if m.cfg.BodyFirst >= 0 ||",
		test: "./middleware TestAttackerWhoSendsABodySlowlyHoldsNoLease",
	}, {
		name: "a client's address from the end of the list",
		file: "middleware/clientaddr.go",
		old:  "return list[:i], strings.Trim(list[i+1:], \" \\t\")",
		new:  "return list[i+1:], strings.Trim(list[:i], \" \\t\")",
		test: "./middleware TestClientsAddressIsTheLastThatIsNoProxys",
	}, {
		name: "a miswired route is a fault",
		file: "middleware/identify.go",
		old:  "if errors.Is(err, ErrMiswired) {",
		new:  "if errors.Is(err, ErrMiswired) && false {",
		test: "./middleware TestPathValueThatNoPatternHasIsAFaultAndLoggedOnce",
	}, {
		name: "one spelling of a host",
		file: "middleware/host.go",
		old:  "name, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, \".\"))",
		new:  "name, err := idna.Punycode.ToASCII(strings.TrimSuffix(name, \".\"))",
		test: "./middleware TestHostHasOneSpelling",
	}}
}
