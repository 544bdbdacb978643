package provision

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
)

const (
	watchEvery  = time.Second      // between two looks at one server
	relistEvery = 10 * time.Second // between two looks at the list of servers
	watchLimit  = 10 * time.Second // for one look
	warnEvery   = time.Minute      // while the queue of notifications is half full
)

// watch keeps a session on each server until ctx ends, and ends sessions of tenants' roles there that keep others from
// their work. The session is for good: what such a session locks first is the way in. If the registry does not answer,
// the servers that it named last are watched.
func (p *Provisioner) watch(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	watched := map[where]context.CancelFunc{}
	ticker := time.NewTicker(relistEvery)
	defer ticker.Stop()
	for {
		if servers, err := p.cfg.Registry.Servers(ctx); err == nil {
			gone := watched
			watched = map[where]context.CancelFunc{}
			for _, s := range servers {
				at := whereIs(s)
				stop, ok := gone[at]
				if !ok {
					var own context.Context
					own, stop = context.WithCancel(ctx)
					wg.Go(func() { (&watchdog{p: p, server: s}).run(own) })
				}
				watched[at] = stop
				delete(gone, at)
			}
			for _, stop := range gone {
				stop()
			}
		}
		select {
		case <-ctx.Done():
			for _, stop := range watched {
				stop()
			}
			return
		case <-ticker.C:
		}
	}
}

// watchdog watches one server. It is used by one goroutine.
type watchdog struct {
	p      *Provisioner
	server registry.Server
	conn   *pgx.Conn // nil: none
	failed bool      // the last look did; the first in a row is logged
	warned time.Time // of the queue of notifications
}

func (w *watchdog) run(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		err := w.check(ctx)
		if err != nil && !w.failed && ctx.Err() == nil {
			w.p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "provision: watch server",
				slog.String("server", w.server.Name), slog.String("error", pgerr.Redact(err).Error()))
		}
		w.failed = err != nil
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	if w.conn != nil {
		pgadmin.Disconnect(w.conn)
	}
}

// check looks once, on a new session if the last one was lost.
func (w *watchdog) check(ctx context.Context) error {
	if w.conn == nil || w.conn.IsClosed() {
		w.conn = nil
		conn, err := w.p.boundedSession(ctx, w.server)
		if err != nil {
			return err
		}
		w.conn = conn
	}
	ctx, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	ended, err := w.p.endBlockers(ctx, w.conn, w.server.Name, "", false)
	w.p.logTerminated(ctx, ended)
	if err != nil {
		return err
	}
	var usage float64
	err = w.conn.QueryRow(ctx, "SELECT pg_notification_queue_usage()").Scan(&usage)
	if err == nil && usage > 0.5 && time.Since(w.warned) > warnEvery {
		w.warned = time.Now()
		w.p.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "provision: the queue of notifications fills up",
			slog.String("server", w.server.Name), slog.Float64("usage", usage))
	}
	return err
}
