package tenancy

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

const (
	// relogins is how often a connect whose password was refused tries again, within about a second and a half.
	relogins     = 3
	reloginPause = 20 * time.Millisecond
	pauseGrowth  = 8

	// reloginPatience is how long the directory may take for all look-ups of one such connect together. With the pauses
	// it keeps its place among the server's dials for 3 s, so that nobody waits for that until defaultBudgetWait is over.
	reloginPatience = 1500 * time.Millisecond
)

var errTried = errors.New("tenancy: this address was tried already")

// login is how one attempt to connect shows who it is. A role has one password at a time, so that a rotation has
// moments in which a router's is not the server's: it does not know the new one yet, or it does and the role has not. A
// connect that is refused for its password asks the directory and tries again, so that no query fails for it.
//
// pgx has no hook for that, but it goes over a list of addresses. So each stands there several times. At 28P01 pgx
// gives up, so it is shown 28000 instead, at which it goes on; and it reads the password when the server asks for it.
type login struct {
	guard     *guard
	known     *Tenant         // whose password it begins with
	config    *pgx.ConnConfig // of this connection alone; nil: one try is all there is
	fallbacks []*pgconn.FallbackConfig
	lookup    pgconn.LookupFunc
	dials     map[string]int // of each address
	refused   []*pgconn.PgError
	patience  time.Duration // what is left of it
	ended     bool
}

// begin prepares cc for more than one try, unless the password is not the record's, or was refused every time by the
// last connect that was.
func (l *login) begin(cc *pgx.ConnConfig) {
	own, g := l.known.Endpoint.Password, l.guard
	if own.IsZero() || cc.Password != own.Reveal() || g.lockedOut.Load() {
		return
	}
	l.config, l.fallbacks, l.dials, l.patience = cc, cc.Fallbacks, make(map[string]int), reloginPatience
	cc.Fallbacks = nil
	for range relogins {
		cc.Fallbacks = append(cc.Fallbacks, &pgconn.FallbackConfig{Host: cc.Host, Port: cc.Port, TLSConfig: cc.TLSConfig})
	}
	for _, f := range l.fallbacks {
		for range 1 + relogins {
			cc.Fallbacks = append(cc.Fallbacks, f)
		}
	}
	l.lookup = cc.LookupFunc
	cc.LookupFunc = lookUpOnce(l.lookup)
	next := cc.OnPgError
	cc.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		again := err.Code == pgerr.InvalidPassword && !l.ended && len(l.refused) < relogins
		goOn := next == nil || next(conn, err)
		if again {
			l.refused = append(l.refused, err)
			err.Code = pgerr.InvalidAuthorization
		}
		return goOn && !again
	}
}

// lookUpOnce looks each host up once.
func lookUpOnce(lookup pgconn.LookupFunc) pgconn.LookupFunc {
	type answer struct {
		addrs []string
		err   error
	}
	answers := make(map[string]answer)
	return func(ctx context.Context, host string) ([]string, error) {
		a, ok := answers[host]
		if !ok {
			a.addrs, a.err = lookup(ctx, host)
			answers[host] = a
		}
		return a.addrs, a.err
	}
}

// dialling is told of each dial. It refuses to repeat one that did not fail for the password.
func (l *login) dialling(ctx context.Context, addr string) error {
	if l.config == nil {
		return nil
	}
	l.dials[addr]++
	switch {
	case len(l.refused) > 0:
		return l.renew(ctx)
	case (l.dials[addr]-1)%(1+relogins) != 0:
		return errTried
	}
	return nil
}

// renew waits a little and takes the password that the directory has by then. If the directory does not answer, the
// one that was refused may still have become good.
func (l *login) renew(ctx context.Context) error {
	pause := reloginPause
	for range len(l.refused) - 1 {
		pause *= pauseGrowth
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	asked := time.Now()
	rec := l.guard.r.load(ctx, &opening{id: l.guard.id}, l.patience)
	l.patience -= time.Since(asked)
	if rec.err != nil {
		return nil //nolint:nilerr // see above
	}
	if rec.tenant.State != Active || !rec.tenant.sameTarget(l.known) {
		return errTried // what it was refused for is not the password
	}
	l.config.Password = rec.tenant.Endpoint.Password.Reveal()
	return nil
}

// end puts back what pgx was shown. The next Acquire asks the directory too, so that the pool learns of a new password.
func (l *login) end(err error) {
	l.ended = true
	if err == nil {
		l.guard.lockedOut.Store(false)
	}
	if l.config == nil {
		return
	}
	l.config.Fallbacks, l.config.LookupFunc = l.fallbacks, l.lookup
	for _, pg := range l.refused {
		pg.Code = pgerr.InvalidPassword
	}
	if len(l.refused) > 0 {
		l.guard.r.doubt(l.guard)
		l.guard.lockedOut.Store(err != nil)
	}
}
