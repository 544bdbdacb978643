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
	// maxRetries is how often a connect whose password was refused tries again. With the pauses (20 + 160 + 1280 ms)
	// that takes about a second and a half.
	maxRetries      = 3
	firstRetryPause = 20 * time.Millisecond
	pauseFactor     = 8

	// lookupPatience is how long the directory may take for all look-ups of one such connect together. With the pauses,
	// the connect occupies one of MaxDialsPerServer for 3 s at most, which is less than defaultBudgetWait.
	lookupPatience = 1500 * time.Millisecond
)

var errNotRepeated = errors.New("tenancy: this address was tried already")

// passwordRetry repeats one connect whose password the server refused. A role has one password at a time, so during a
// rotation the router's and the server's can differ: the router has not read the new one yet, or the role does not have
// it yet. The retry asks the directory for the current password, so that no query fails because of a rotation.
//
// pgx has no hook for that, but it tries a list of addresses. So each address is listed several times. At 28P01 pgx
// gives up, so OnPgError changes the code to 28000, at which pgx goes on to the next address. pgx reads the password
// from the configuration when the server asks for it.
type passwordRetry struct {
	guard     *guard
	known     *Tenant         // the record whose password is tried first
	config    *pgx.ConnConfig // of this connection alone; nil: there is no retry
	fallbacks []*pgconn.FallbackConfig
	lookup    pgconn.LookupFunc
	dials     map[string]int // of each address
	refused   []*pgconn.PgError
	patience  time.Duration // the rest of lookupPatience
	ended     bool
}

// begin prepares cc for retries, unless the password is not the record's, or the pool's last connect was refused every
// time.
func (p *passwordRetry) begin(cc *pgx.ConnConfig) {
	own, g := p.known.Endpoint.Password, p.guard
	if own.IsZero() || cc.Password != own.Reveal() || g.lockedOut.Load() {
		return
	}
	p.config, p.fallbacks, p.dials, p.patience = cc, cc.Fallbacks, make(map[string]int), lookupPatience
	cc.Fallbacks = nil
	for range maxRetries {
		cc.Fallbacks = append(cc.Fallbacks, &pgconn.FallbackConfig{Host: cc.Host, Port: cc.Port, TLSConfig: cc.TLSConfig})
	}
	for _, f := range p.fallbacks {
		for range 1 + maxRetries {
			cc.Fallbacks = append(cc.Fallbacks, f)
		}
	}
	p.lookup = cc.LookupFunc
	cc.LookupFunc = lookUpOnce(p.lookup)
	next := cc.OnPgError
	cc.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		again := err.Code == pgerr.InvalidPassword && !p.ended && len(p.refused) < maxRetries
		goOn := next == nil || next(conn, err)
		if again {
			p.refused = append(p.refused, err)
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

// beforeDial is called before each dial. It returns an error for the repetition of an address whose password was not
// refused.
func (p *passwordRetry) beforeDial(ctx context.Context, addr string) error {
	if p.config == nil {
		return nil
	}
	p.dials[addr]++
	switch {
	case len(p.refused) > 0:
		return p.refreshPassword(ctx)
	case (p.dials[addr]-1)%(1+maxRetries) != 0:
		return errNotRepeated
	}
	return nil
}

// refreshPassword pauses and then reads the password from the directory. If the directory does not answer, the same
// password is tried again: the server may accept it by now.
func (p *passwordRetry) refreshPassword(ctx context.Context) error {
	pause := firstRetryPause
	for range len(p.refused) - 1 {
		pause *= pauseFactor
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	asked := time.Now()
	rec := p.guard.r.lookUp(ctx, &opening{id: p.guard.id}, p.patience)
	p.patience -= time.Since(asked)
	if rec.err != nil {
		return nil //nolint:nilerr // see above
	}
	if rec.tenant.State != Active || !rec.tenant.sameTarget(p.known) {
		return errNotRepeated // the record has changed: another password would not help
	}
	p.config.Password = rec.tenant.Endpoint.Password.Reveal()
	return nil
}

// end restores what begin and OnPgError changed. It also has the next Acquire ask the directory, so that the pool gets
// a new password.
func (p *passwordRetry) end(err error) {
	p.ended = true
	if err == nil {
		p.guard.lockedOut.Store(false)
	}
	if p.config == nil {
		return
	}
	p.config.Fallbacks, p.config.LookupFunc = p.fallbacks, p.lookup
	for _, pg := range p.refused {
		pg.Code = pgerr.InvalidPassword
	}
	if len(p.refused) > 0 {
		p.guard.r.doubt(p.guard)
		p.guard.lockedOut.Store(err != nil)
	}
}
