// Package registry is the catalogue of a fleet of tenant databases: which servers there are, which tenant's database is
// on which of them, who signs in where, and what changed. It is kept in a PostgreSQL database of its own, in the schema
// "pgtenancy", which [Migrate] makes.
//
// A [Registry] is a [tenancy.Directory]; [Registry.Follow] passes changes to a resolver. [Registry.JoinBudget] divides
// the servers' connections among processes. Tenants are made, suspended and removed by package provision, and people
// sign in by package authn/accounts: both write the registry's rows through internal/catalog, because each of those
// writes is half of a job.
//
// # Changes
//
// Every write that a router must know of raises the tenant's epoch, appends to the table of changes and notifies, in
// one transaction. Changes have versions without gaps, in the order of commit, so that a follower that was away needs
// only those after the last that it saw. A notification is a hint to read the table: any role that may connect to the
// database can send one, and a forged one neither adds nor hides a change. [Migrate] takes CONNECT from PUBLIC, where
// its role may.
//
// # Secrets
//
// E-mails, the passwords of database roles, the data of a sign-up in flight, results of steps and the secrets of
// sessions are sealed with AES-256-GCM, bound to their row and column. E-mails are found by a blind index, HMAC-SHA-256
// of the normalized address: without its key, a dump does not even confirm a guess. The keys are in a
// [keyring.Keyring], and never in the database. A [keyring.Sealer] lets a key service seal in place of the ring's keys,
// and [Registry.SetPasswordRef] keeps a database password somewhere else.
//
// No error of this package holds an e-mail, password, token, connection string or value of a row; of PostgreSQL's
// remain the SQLSTATE, the names of objects and, where it cannot quote a value, the message.
//
// # Where to read
//
// registry.go has the Registry and its Config. tenant.go, server.go, admin.go and email.go have one record each, with
// its reads and its writes; event.go has what was changed. The feed is follow.go, then resync.go, then followstat.go.
// The budget is share.go, then process.go and remains.go (what a killed process left) and starved.go. Keys are replaced
// by rekey.go, with reseal.go and reindex.go. Transactions, columns and sealed values are in internal/regdb.
//
// All time is the database's. Nothing waits for a vault or a key service while it holds a lock on a row.
package registry
