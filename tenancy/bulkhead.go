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

// bulkhead confines the failure of one PostgreSQL server to the tenants on it.
type bulkhead struct {
	name       string // the server's
	now        func() time.Duration
	observer   *Observer
	log        *outageLog
	noSettings atomic.Bool // the server refuses keepaliveSettings

	mu      sync.Mutex // guards what follows
	breaker breaker
	opened  int64 // how many times the breaker opened
	refused int64 // how many attempts it refused
}

// admit returns nil if an attempt to connect may begin; record must be called when it has ended. Otherwise its error
// matches ErrServerDown.
func (b *bulkhead) admit() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.breaker.allow(b.now()) {
		b.refused++
		return fmt.Errorf("%w: %q", ErrServerDown, b.name)
	}
	return nil
}

// recheck refuses an attempt that waited for its permit while the breaker opened.
func (b *bulkhead) recheck(began time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.breaker.overtook(began) {
		b.refused++
		return fmt.Errorf("%w: %q", ErrServerDown, b.name)
	}
	return nil
}

// record records the result of an attempt that began at the given time.
func (b *bulkhead) record(began time.Duration, err error) {
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
		b.log.set(b, err)
		b.observer.serverDown(b.name, pgerr.Redact(err))
	case changed:
		b.log.set(b, nil)
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

// culprit is the party to which the result of an attempt to connect is attributed.
type culprit int

const (
	onServer culprit = iota // it did not answer, or answered that it is not available
	onTenant                // the server is well: it let the tenant in, or refused it alone
	onUs                    // the attempt was given up, and says nothing of the server
)

// blame attributes err. SQLSTATE 53300, too many connections, is not the server's fault: one role's own limit has it
// too, and the server that answers so works.
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

// isOutage reports whether an SQLSTATE says that the server is shutting down or starting up: admin_shutdown,
// crash_shutdown, cannot_connect_now, and the connection exceptions.
func isOutage(code string) bool {
	return code == pgerr.AdminShutdown || code == pgerr.CrashShutdown || code == pgerr.CannotConnectNow ||
		strings.HasPrefix(code, pgerr.ConnectionException) && code != poolerError
}

// poolerError is protocol_violation, which PgBouncer uses for every failure: a server that is down as well as a role or
// database that does not exist.
const poolerError = pgerr.ProtocolViolation
