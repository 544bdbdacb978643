package provision

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
)

// keepWarm holds Config.Warm databases ready on each open server until ctx ends. Servers are looked after side by side,
// so that one that does not answer costs the others nothing; each gets one database in a round, and a round takes
// WarmInterval at least.
func (p *Provisioner) keepWarm(ctx context.Context) {
	if p.cfg.Warm == 0 {
		return
	}
	k := &keeper{p: p, busy: map[string]bool{}}
	defer p.held.keep()()
	defer k.wg.Wait()
	for ctx.Err() == nil {
		k.round(ctx)
		p.held.tidy()
		select {
		case <-time.After(p.cfg.WarmInterval):
			p.rest(ctx, p.taken)
		case <-ctx.Done():
		}
	}
}

// keeper is keepWarm under way.
type keeper struct {
	p  *Provisioner
	wg sync.WaitGroup

	mu   sync.Mutex // guards busy; held for nothing but reading and writing it
	busy map[string]bool
}

// begin reports whether nobody looks after server already.
func (k *keeper) begin(server string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy[server] {
		return false
	}
	k.busy[server] = true
	return true
}

func (k *keeper) end(server string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.busy, server)
}

func (k *keeper) round(ctx context.Context) {
	servers, err := k.p.cfg.Registry.Servers(ctx)
	if err != nil {
		k.logError(ctx, "", err)
	}
	for _, s := range servers {
		if s.State == registry.ServerOpen && k.begin(s.Name) {
			k.wg.Go(func() {
				defer k.end(s.Name)
				k.server(ctx, s)
			})
		}
	}
}

// server adds one database to the stock of a server if one is wanted; the next round begins soon then.
func (k *keeper) server(ctx context.Context, s registry.Server) {
	made, err := k.p.restock(ctx, s.Name)
	if err == nil {
		err = k.hold(ctx, s)
	}
	if err != nil {
		k.logError(ctx, s.Name, err)
	}
	if made {
		wakeUp(k.p.taken)
	}
}

func (k *keeper) logError(ctx context.Context, server string, err error) {
	if ctx.Err() != nil {
		return
	}
	k.p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "provision: keep databases warm",
		slog.String("server", server), slog.String("error", pgerr.Redact(err).Error()))
}
