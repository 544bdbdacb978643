package tenancy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// bulkhead keeps what happens to one PostgreSQL server with the tenants that it has.
type bulkhead struct {
	name     string // the server's
	now      func() time.Duration
	observer *Observer
	plain    atomic.Bool // it refuses the settings of noticeAbandoned

	mu      sync.Mutex // guards what follows; nothing else happens under it
	breaker breaker
	opened  int64 // how many times the breaker opened
	refused int64 // how many attempts it refused
}

// admit gives the right to begin an attempt to connect; ended must be called after it. Otherwise it returns an error
// that matches ErrServerDown.
func (b *bulkhead) admit() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.breaker.allow(b.now()) {
		b.refused++
		return fmt.Errorf("%w: %q", ErrServerDown, b.name)
	}
	return nil
}

// check refuses an attempt that waited to dial while the breaker opened.
func (b *bulkhead) check(began time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.breaker.overtook(began) {
		b.refused++
		return fmt.Errorf("%w: %q", ErrServerDown, b.name)
	}
	return nil
}

// ended records how an attempt ended that had begun at the given time.
func (b *bulkhead) ended(began time.Duration, err error) {
	now, changed, failed := b.now(), false, false
	b.mu.Lock()
	switch blame(err) {
	case onServer:
		failed = true
		if changed = b.breaker.fail(began, now); changed {
			b.opened++
		}
	case onTenant:
		changed = b.breaker.succeed(now)
	case onUs:
	}
	b.mu.Unlock()
	switch {
	case changed && failed:
		b.observer.serverDown(b.name, pgerr.Redact(err))
	case changed:
		b.observer.serverUp(b.name)
	}
}

// health is a snapshot of a server's health.
type health struct {
	down            bool
	opened, refused int64
}

func (b *bulkhead) stat() health {
	b.mu.Lock()
	defer b.mu.Unlock()
	return health{down: b.breaker.open(), opened: b.opened, refused: b.refused}
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
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed),
		errors.Is(err, ErrAtCapacity), errors.Is(err, ErrServerDown):
		return onUs
	}
	return onServer
}

// isOutage reports whether an SQLSTATE says that the server goes down or comes up: admin_shutdown, crash_shutdown,
// cannot_connect_now, and the connection exceptions.
func isOutage(code string) bool {
	return code == pgerr.AdminShutdown || code == pgerr.CrashShutdown || code == pgerr.CannotConnectNow ||
		strings.HasPrefix(code, pgerr.ConnectionException) && code != poolerError
}

// poolerError is protocol_violation, which PgBouncer says of everything: that a server is down, and that one role or
// database is not there.
const poolerError = pgerr.ProtocolViolation
