package tenancy

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

const (
	// logInterval is the least time between two lines about one server, about the directory, or about cut pools.
	logInterval = 10 * time.Second

	// failingLookups is how many look-ups in a row must fail before the directory counts as failing: one record that
	// cannot be read is no outage.
	failingLookups = 3
)

// outageLog writes outages and their ends to Config.Logger. What changes within logInterval is written when that is
// over, if it is then different from what was written last. So a server that flaps fills no log, and the last line is
// always true.
type outageLog struct {
	logger *slog.Logger // nil: slog.Default
	now    func() time.Duration

	mu        sync.Mutex // guards what follows; nothing is written under it
	servers   map[string]*outage
	directory outage
	failures  int // of look-ups, in a row
	cut       int // pools since the last line
	cutTenant ID  // the last of them
	cutLogged time.Duration
}

// outage is the state of one server or of the directory, and that of the log.
type outage struct {
	down, logged bool
	err          error         // why
	changed      time.Duration // when logged changed; 0: never
}

// line is what a logger is called with.
type line struct {
	text string
	args []any
}

// set notes that b's breaker opened, because of err, or closed. The last of several calls at once reads how it is now.
func (l *outageLog) set(b *bulkhead, err error) {
	l.mu.Lock()
	o, ok := l.servers[b.name]
	if !ok {
		o = &outage{}
		l.servers[b.name] = o
	}
	o.set(b.stat().down, err)
	l.mu.Unlock()
	l.flush()
}

// set takes over how things are. err may be nil if the call that knows it comes later.
func (o *outage) set(down bool, err error) {
	if err != nil {
		o.err = err
	}
	o.down = down && o.err != nil
}

// lookedUp notes that the directory answered, or did not because of err.
func (l *outageLog) lookedUp(err error) {
	l.mu.Lock()
	if err == nil {
		l.failures = 0
	} else {
		l.failures++
	}
	changed := l.failures >= failingLookups != l.directory.down
	if changed {
		l.directory.set(err != nil, err)
	}
	l.mu.Unlock()
	if changed {
		l.flush()
	}
}

// wasCut notes that a pool was cut off after DrainTimeout.
func (l *outageLog) wasCut(id ID) {
	l.mu.Lock()
	l.cut++
	l.cutTenant = id
	l.mu.Unlock()
	l.flush()
}

// panicked logs the panic of a function that Config.Attach returned.
func (l *outageLog) panicked(id ID, err *PanicError) {
	l.write(slog.LevelError, line{"tenancy: what Config.Attach made cannot be closed", []any{
		"tenant", string(id), "err", err.Error(),
	}})
}

// flush writes what is due.
func (l *outageLog) flush() {
	now := l.now()
	var due []line
	l.mu.Lock()
	for name, o := range l.servers {
		due = o.appendDue(due, now, "tenancy: server down", "tenancy: server up again", "server", name)
	}
	due = l.directory.appendDue(due, now, "tenancy: directory fails", "tenancy: directory answers again")
	if l.cut > 0 && (l.cutLogged == 0 || now >= l.cutLogged+logInterval) {
		due = append(due, line{"tenancy: pools cut off in use after DrainTimeout", []any{
			"pools", l.cut, "last_tenant", string(l.cutTenant),
		}})
		l.cut, l.cutLogged = 0, max(now, 1)
	}
	l.mu.Unlock()
	for _, d := range due {
		l.write(slog.LevelWarn, d)
	}
}

func (o *outage) appendDue(lines []line, now time.Duration, down, up string, args ...any) []line {
	if o.down == o.logged || o.changed != 0 && now < o.changed+logInterval {
		return lines
	}
	was := now
	if o.changed != 0 {
		was = o.changed
	}
	o.logged, o.changed = o.down, max(now, 1)
	if o.down {
		return append(lines, line{down, append(args, "err", pgerr.Redact(o.err).Error())})
	}
	return append(lines, line{up, append(args, "after", (now - was).Round(time.Second))})
}

func (l *outageLog) write(level slog.Level, what line) {
	logger := l.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Log(context.Background(), level, what.text, what.args...)
}
