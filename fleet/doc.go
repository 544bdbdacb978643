// Package fleet puts the parts of a service together that gives each tenant a PostgreSQL database: the registry, the
// provisioner, the resolver and the loops that keep them going.
//
//	f, err := fleet.Open(ctx, fleet.Config{
//		Registry: os.Getenv("REGISTRY_URL"),
//		KeysFile: "/run/secrets/keys.json", // made once by keyring.CreateFile
//		Servers:  []fleet.Server{{Name: "eu-1", Admin: os.Getenv("ADMIN_URL")}},
//		Schema:   schema, // of provision/atlas
//	})
//	...
//	result, err := f.Provisioner().Create(ctx, provision.Request{ID: "acme"})
//	lease, err := f.Resolver().Acquire(ctx, "acme")
//
// [Open] migrates the registry, makes sure that the keys are the registry's, adds the servers that the registry does
// not know, prepares the template of each, takes part in the servers' connection budgets, follows the registry's
// changes and runs the reconciler. [Fleet.Check] and [Fleet.ReadyHandler] are for a readiness probe. [Fleet.Serve]
// runs an HTTP server and stops everything in order; [Fleet.Close] is for programs that have another server.
// docs/adopting.md shows a whole program.
//
// The parts are those of packages registry, provision and tenancy, with nothing in between: a program that wants only
// some of them makes them itself, and Open does nothing that the program could not do.
//
// Read config.go first, then open.go and close.go; serve.go has the server, check.go the probes, part.go the loops,
// and conns.go the connections to the registry.
package fleet
