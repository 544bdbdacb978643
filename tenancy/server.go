package tenancy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// server is the bulkhead of one PostgreSQL server: what happens to it stays with the tenants it has.
type server struct {
	name  string
	r     *Resolver
	pools int           // that use it; Resolver.mu guards it
	dials chan struct{} // has one element for each attempt to connect that is under way; nil: not limited

	mu      sync.Mutex // guards breaker; nothing else happens under it
	breaker breaker
}

// joinServer returns the server that the pool of pc and ep connects to. Each call is followed by one of leaveServer.
func (r *Resolver) joinServer(ep Endpoint, pc *pgxpool.Config) *server {
	cc := pc.ConnConfig
	name := cmp.Or(ep.Server, net.JoinHostPort(cc.Host, strconv.Itoa(int(cc.Port))))
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.servers[name]
	if !ok {
		s = &server{name: name, r: r, breaker: breaker{threshold: max(r.cfg.BreakerThreshold, 0)}}
		if r.cfg.MaxDialsPerServer > 0 {
			s.dials = make(chan struct{}, r.cfg.MaxDialsPerServer)
		}
		r.servers[name] = s
	}
	s.pools++
	return s
}

// leaveServerLocked forgets a server that no pool uses. Caller holds r.mu.
func (r *Resolver) leaveServerLocked(s *server) {
	if s.pools--; s.pools == 0 {
		delete(r.servers, s.name)
	}
}

// admit waits for the right to begin an attempt to connect, no longer than timeout; ended must be called after it. It
// returns an error that matches ErrServerDown.
func (s *server) admit(ctx context.Context, timeout time.Duration) error {
	if s.blocked() {
		return s.down("")
	}
	if s.dials != nil {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		select {
		case s.dials <- struct{}{}:
		case <-timer.C:
			return s.down(": too many attempts to connect are under way")
		case <-ctx.Done():
			return fmt.Errorf("tenancy: connect to server %q: %w", s.name, ctx.Err())
		}
	}
	s.mu.Lock()
	ok := s.breaker.allow(s.r.now()) // it may have opened meanwhile
	s.mu.Unlock()
	if !ok {
		s.free()
		return s.down("")
	}
	return nil
}

func (s *server) blocked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.breaker.blocked(s.r.now())
}

func (s *server) down(why string) error { return fmt.Errorf("%w: %q%s", ErrServerDown, s.name, why) }

func (s *server) free() {
	if s.dials != nil {
		<-s.dials
	}
}

// ended records how an attempt ended that had begun at the given time.
func (s *server) ended(began time.Duration, err error) {
	now, changed := s.r.now(), false
	failed := false
	s.mu.Lock()
	switch blame(err) {
	case onServer:
		failed = true
		changed = s.breaker.fail(began, now)
	case onTenant:
		changed = s.breaker.succeed(now)
	case onUs:
	}
	s.mu.Unlock()
	s.free() // after that: who waits must see an open breaker
	switch {
	case changed && failed:
		s.r.cfg.Observer.serverDown(s.name, redact(err))
	case changed:
		s.r.cfg.Observer.serverUp(s.name)
	}
}

// culprit is who an attempt to connect failed for.
type culprit int

const (
	onServer culprit = iota // it did not answer, or said that it cannot
	onTenant                // the server is well: it let the tenant in, or refused it alone
	onUs                    // the attempt was given up, and says nothing of the server
)

// blame says whose fault err is. SQLSTATE 53300, too many connections, is not the server's: one role's own limit has it
// too, and the server that says so works.
func blame(err error) culprit {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return onTenant
	case errors.As(err, &pg):
		if isOutage(pg.Code) {
			return onServer
		}
		return onTenant
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed), errors.Is(err, ErrAtCapacity):
		return onUs
	}
	return onServer
}

// isOutage reports whether an SQLSTATE says that the server goes down or comes up: admin_shutdown, crash_shutdown,
// cannot_connect_now, and the connection exceptions.
func isOutage(code string) bool {
	return code == "57P01" || code == "57P02" || code == "57P03" || strings.HasPrefix(code, "08") && code != poolerError
}

// poolerError is protocol_violation, which PgBouncer says of everything: that a server is down, and that one role or
// database is not there.
const poolerError = "08P01"
