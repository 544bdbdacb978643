// Package registry is the catalogue of a fleet of tenant databases: which servers there are, which tenant's database is
// on which of them, who signs in where, and what changed. It is kept in a PostgreSQL database of its own, in the
// schema "pgtenancy", which [Migrate] makes.
//
// A [Registry] is a [tenancy.Directory]; [Registry.Follow] tells a resolver what changed.
//
// # The life of a tenant
//
// [Registry.Reserve] writes the intent before anything else is made, and returns a [Claim]: the right of one process to
// work on that tenant until the claim expires. Every write under a claim is fenced by the tenant's attempt and the
// claim's owner, so that a process that was away too long changes nothing. [Registry.Activate] ends a sign-up;
// [Registry.Fail], [Registry.BeginDelete] and [Registry.ClaimAbandoned] lead to [Registry.Forget], which alone makes a
// name and an e-mail free again. All time is the database's: no process's clock has a say.
//
// # Changes
//
// Whatever changes what a router must know of a tenant raises the tenant's epoch, appends to the table of changes and
// notifies, in one transaction. Changes have versions without gaps, in the order of commit, so that a follower that was
// away needs nothing but those after the last that it saw. A notification is only a hint to read the table: anyone who
// may connect to the database can send one, and a forged one neither tells nor hides a change. [Migrate] lets nobody
// connect but the owner and those to whom CONNECT is granted, where its role may.
//
// # Secrets
//
// E-mails, the passwords of database roles, the data of a sign-up in flight, results of steps and the secrets of
// sessions are sealed with AES-256-GCM, bound to their row and column. E-mails are found by a blind index, HMAC-SHA-256
// of the normalized address: without its key, a dump does not even confirm a guess. The keys are in a [Keyring], and
// never in the database. A [Sealer] lets a key service seal in place of the ring's keys, and [Registry.SetPasswordRef]
// keeps a database password somewhere else.
//
// No error of this package holds an e-mail, password, token, connection string or value of a row; of
// PostgreSQL's remain the SQLSTATE, the names of objects and, where it cannot quote a value, the message.
package registry
