// Package connbudget shares the connections that one PostgreSQL server allows among the pools of its tenants.
//
// A [Budget] belongs to one server, an [Account] to one pool, a [Permit] to one connect. The pool's owner tells the
// account of each acquire ([Account.AcquireStarted], [Account.AcquireEnded]) and release ([Account.Released]), and
// takes a permit for each dial ([Permit.Take]). Nothing here dials. Connections are closed here in two places: idle
// ones, to make room for a dial (reclaim.go), and released ones that are due to another tenant (preempt.go).
//
// # Invariants
//
//   - A permit comes before the dial. It is given back when PostgreSQL has closed its end of the connection, and not
//     before: the server would count the next connection beside it. The permits held never exceed the limit, except
//     after SetLimit lowered it; then no permit is given out until enough have come back.
//   - One connect has one permit for all addresses that it tries, and one place among the connects in progress.
//   - A tenant's fair share is the limit divided by weight among the tenants that want connections: tenants that wait,
//     or used one in the last second. It is at least one. Waiters below their share come first, each group in FIFO
//     order; a waiter is overdue after a quarter of its wait, and then counts as one below its share.
//   - A tenant within its share loses a connection in use only after it had it for a turn of 25 ms, and an idle one
//     only to a waiter that is below its own share or overdue.
//   - An acquire on a full server waits for one of its tenant's own connections before it dials.
//   - Connections that are being closed count as permits that come back soon: one connection is closed for one waiter.
//
// # Locks
//
// Budget.mu is taken last: a caller may hold its own lock, and nothing is locked, dialled or closed under it. A pool
// may be asked for its Stat under it. [Account.Released] and AcquireStarted read flags without the lock, so that a
// server that is not full costs a query no lock.
//
// Read budget.go first (the queue and who is next), then account.go (shares), permit.go (a dial's wait), reclaim.go and
// sieve.go (which idle connection goes), preempt.go (which one in use goes) and ownqueue.go.
package connbudget
