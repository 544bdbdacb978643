// Package tenancy finds the connection pool of a tenant's own PostgreSQL database, and makes sure that it is the right
// one for as long as it is used.
//
// # Model
//
// A tenant is one customer with a database of its own. Its [ID] has one canonical spelling. A [Directory] knows where
// the tenant's database is. A [Resolver] turns an ID into a pool: it asks the directory, opens a pool on demand, shares
// it, and closes it when it falls idle or its room is needed. The pool comes wrapped in a [Lease], which is the right
// to use it until Release.
//
// # Life of a request
//
//	lease, err := resolver.Acquire(ctx, id)
//	if err != nil {
//		return err
//	}
//	defer lease.Release()
//	rows, err := lease.Pool().Query(ctx, "select ...")
//
// If the tenant is known and its record is fresh, Acquire takes one lock and does no I/O. Otherwise one goroutine asks
// the directory, however many callers wait for the answer; it belongs to the resolver, so that a caller who leaves does
// not fail the others. Opening a pool dials nothing: the first query does.
//
// # Guarantees
//
//   - A leased pool stays open until the lease is released, whatever is evicted, invalidated or shut down meanwhile.
//     The only limits are DrainTimeout and the context given to Close: when they end, the sockets are closed.
//   - No more than MaxPools pools exist at any time, counting those that still drain.
//   - No more than MaxConns connections to one server are open at any time, however many tenants and pools there are.
//     When all are in use, those who need one wait in line, and a tenant that has more than its fair share gives up one
//     that it is done with. docs/connections.md has the arithmetic.
//   - A record that was looked up before an [Resolver.Invalidate] is not used by any Acquire after it.
//   - A pool whose tenant's database stays where it is stays open: a new password is for new connections, and a change of
//     the schema has connections made anew when they are not in use ([Resolver.Renew]). Neither cuts anything.
//   - "No such tenant" and "the directory cannot say" are different answers. The first is remembered for a short time
//     and in a bounded cache of its own; the second is never remembered, and known tenants are served on for
//     StaleGrace.
//   - A pool's target comes from the tenant's [Endpoint] and from Config.Base. No environment variable is read.
//   - No error of this package carries a password, a connection string or a row.
//
// # Strings of a caller
//
// What a Resolver keeps of its arguments, and of what the [Directory] returns, it copies: a caller may pass strings
// over memory that is used again for the next request, as those of fasthttp and fiber are. [ParseID] returns a copy. An
// error that is returned holds no string of the caller's either, and can be kept.
//
// # What a holder owes
//
// Release the lease, once, when the last connection, row and transaction of the pool is given back. Keep neither the
// pool nor a connection longer, and never close the pool: it is shared. A goroutine that outlives the request acquires
// a lease of its own. What goes on for long without querying, as a stream of events does, ends at [Lease.Done].
package tenancy
