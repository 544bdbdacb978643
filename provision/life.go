package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// patience is how long the session of a process that holds a lock may be idle before whoever waits for the lock ends
// it: the process was stopped, or its host is gone. Nothing that lives is idle for so long: it works on the session, or
// shows life there.
func (p *Provisioner) patience() time.Duration { return 2 * p.cfg.ClaimTTL }

// showLife calls f, which works over other connections for as long as it takes, and uses conn meanwhile, so that nobody
// takes the locks of its session for those of a stopped process. If the session is lost all the same, f's context ends.
func (p *Provisioner) showLife(ctx context.Context, conn *pgx.Conn, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		beat := time.NewTicker(p.cfg.ClaimTTL / 3)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
			case <-ended:
				return
			}
			if err := beatOn(ctx, conn); err != nil {
				cancel(fmt.Errorf("the session that holds the lock: %w", pgerr.Redact(err)))
				return
			}
		}
	}()
	defer func() {
		close(ended)
		<-stopped
	}()
	return f(ctx)
}

// beatOn uses conn. The end of ctx must not close it.
func beatOn(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	return conn.Ping(ctx)
}
