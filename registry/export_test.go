package registry

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Normalized is what identity is decided by.
func (e Email) Normalized() string { return e.identity() }

// Beat is one beat of Run, and Leave its end.
func (s *Share) Beat(ctx context.Context) error { return s.beat(ctx) }
func (s *Share) Leave(ctx context.Context)      { s.leave(ctx) }

// Grow takes the free part, and Shrink gives it back.
func (s *Share) Grow(ctx context.Context, server string, total, part int) error {
	return s.grow(ctx, server, total, part)
}

func (s *Share) Shrink(ctx context.Context, server string, n int) error {
	return s.shrink(ctx, server, n)
}

// ShareOf returns a Share that has not joined.
func ShareOf(r *Registry, b Budgeted) *Share { return &Share{r: r, b: b} }

// MinReadInterval is the least time between two reads of Follow.
const MinReadInterval time.Duration = minReadInterval

// MissedBeats is after how many beats a silent process is taken for dead.
const MissedBeats = missedBeats

// Connect opens a connection outside the pool.
func Connect(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) { return connect(ctx, pool) }

// SealedColumns are the columns that Rekey goes over, as "table.column".
func SealedColumns() (names []string) {
	for _, c := range sealedColumns() {
		names = append(names, c.table+"."+c.column)
	}
	return names
}

// CheckFollow is the part of Check that makes no queries, as of now.
func (r *Registry) CheckFollow(now time.Time) error {
	return r.following.check(now, max(3*r.poll, maxReadAge))
}

// ProcessEnded reports whether the process that String named can be seen to have ended.
func ProcessEnded(named string) bool { return ownProcess().ended(parseProcess(named)) }

// OwnProcess names this process.
func OwnProcess() string { return ownProcess().String() }

// ProcessOf names the process of this machine that has that pid.
func ProcessOf(pid int) string {
	p := ownProcess()
	p.pid = pid
	p.start, _ = started(pid)
	return p.String()
}

// SetIdleTimeout changes how long r's transactions may wait for this process.
func (r *Registry) SetIdleTimeout(d time.Duration) { r.db.IdleTimeout = d }
