// Package tenancy finds the connection pool of a tenant's own PostgreSQL database, and makes sure that it is the right
// one for as long as it is used.
//
// # Model
//
// A tenant is one customer with a database of its own. Its [ID] has one canonical spelling. A [Directory] knows where
// the tenant's database is. A [Resolver] turns an ID into a pool: it asks the directory, opens a pool on demand, shares
// it, and closes it when it falls idle or another tenant needs its slot. Acquire returns the pool in a [Lease], which
// is the right to use it until Release.
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
// the directory, however many callers wait for the answer. It belongs to the resolver, so that a caller that leaves
// does not fail the others. Opening a pool dials nothing: the first query does.
//
// # Guarantees
//
//   - A leased pool stays open until the lease is released, even if it is evicted, invalidated or shut down meanwhile.
//     The only limits are DrainTimeout and the context given to Close: when they end, the sockets are closed.
//   - No more than MaxPools pools exist at any time, counting pools that still drain.
//   - No more than MaxConns connections to one server are open at any time, however many tenants and pools there are.
//     When all are in use, new ones wait in FIFO order, and a tenant that has more than its fair share loses a
//     connection when it releases one. docs/connections.md has the arithmetic.
//   - A record that was looked up before an [Resolver.Invalidate] is not used by any Acquire after it.
//   - A pool stays open as long as its tenant's database stays where it is: a new password is used for new connections,
//     and a change of the schema replaces connections when they are not in use ([Resolver.Renew]). Neither interrupts a
//     query.
//   - "No such tenant" and "the directory has no answer" are different results. The first is cached for a short time in
//     a bounded cache of its own; the second is never cached, and the records of known tenants are used for StaleGrace.
//   - A pool's target comes from the tenant's [Endpoint] and from Config.Base. No environment variable is read.
//   - No error of this package carries a password, a connection string or a row.
//
// # Strings of a caller
//
// A Resolver copies every string that it keeps of its arguments and of what the [Directory] returns: a caller may pass
// strings whose memory is reused for the next request, as those of fasthttp and fiber are. [ParseID] returns a copy. A
// returned error holds no string of the caller's either, and can be kept.
//
// # What a holder must do
//
// Release the lease, once, after the last connection, row and transaction of the pool is closed or released. Keep
// neither the pool nor a connection longer, and never close the pool: it is shared. A goroutine that outlives the
// request acquires a lease of its own. A handler that runs for long without querying, such as a stream of events, stops
// at [Lease.Done].
//
// # One connect
//
// From a query that finds no idle connection to one it can use, and back:
//
//	pgxpool.Pool.Acquire
//	  poolTracer.TraceAcquireStart       on a full server: wait for one of the tenant's own connections
//	  guard: BeforeConnect               password, the caller's hook; breaker open: ErrServerDown
//	  connectAttempt.TraceConnectStart   prepare password retries
//	    poolTracer.TraceConnectStart     a new permit, which is not given yet
//	  connectAttempt.dial, per address   pause and new password, if the last one was refused
//	    connbudget.Permit.Take           wait for a permit, one for all addresses: ErrAtCapacity
//	    bulkhead.recheck                 the breaker may have opened meanwhile
//	    dial
//	  TLS, log in                        28P01: the next address, which is the same one again
//	  connectAttempt.TraceConnectEnd     result to the breaker
//	    poolTracer.TraceConnectEnd       connectAttempt.end: the next connect may begin
//	  guard: AfterConnect                fence: ErrFenced; then the caller's hook
//	query
//	poolTracer.TraceRelease              back to the pool, or closed for a tenant that waits
//	socket.Close                         wait until PostgreSQL has closed its end; then give the permit back
//
// # Reading the code
//
// A request: acquire.go, opening.go (the look-up and the opening of a pool), entry.go (a pool's life, from lease to
// drain), attach.go (what lives as long as a pool), sweep.go (idle and sleeping pools), slots.go (MaxPools). A
// connection: pool.go, guard.go, connect.go, passwordretry.go, sockets.go, then package internal/connbudget. A server's
// health: bulkhead.go, breaker.go. Figures and log: stat.go, waits.go, figures.go, outagelog.go.
//
// Resolver.mu guards the resolver and everything it points to. No I/O, callback, Directory, opening or closing of a
// pool happens under it, and only the locks of package connbudget are taken after it. The locks of bulkhead, sockets
// and connbudget are taken last.
package tenancy
