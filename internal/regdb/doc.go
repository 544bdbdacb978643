// Package regdb is the registry's database, as packages registry and internal/catalog share it: transactions, the feed
// of changes, the columns of a tenant, and sealed values. It imports neither.
//
// No error leaves it with a value of a row: [Redact] keeps an error's SQLSTATE and what PostgreSQL cannot quote. A
// transaction that a process leaves idle ends after [IdleTimeout]. Locks are taken in one order: a server's row,
// tenants' rows, the feed's row.
//
// Read db.go and error.go first, then feed.go, route.go and tenant.go; sealed.go and email.go have the secrets.
package regdb
