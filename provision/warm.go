package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nrednav/cuid2"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// warmIdle is after what time warm databases of a schema that no process asks for are dropped. During a release, the
// processes of the old one still ask for theirs.
const warmIdle = time.Minute

// making ends with a warm database: all that a sign-up has that needs to know no customer.
func (j *job) making() []step {
	return []step{{"warm:database", j.database}, {"warm:access", j.access}, {"warm:ready", j.markReady}}
}

func (j *job) markReady(ctx context.Context) error { return j.p.catalog.WarmReady(ctx, j.claim) }

// retiring ends a warm database that is of no more use, or could not be made.
func (j *job) retiring() []step {
	return []step{{"warm:drop", j.drop}, {"warm:forget", j.forgetWarm}}
}

func (j *job) forgetWarm(ctx context.Context) error { return j.p.catalog.ForgetWarm(ctx, j.claim) }

// restock makes one warm database on server, if one is wanted there, and reports whether it did.
func (p *Provisioner) restock(ctx context.Context, server string) (bool, error) {
	if err := p.catalog.WantWarm(ctx, server, p.hash); err != nil {
		return false, err
	}
	id := tenancy.ID(cuid2.Generate())
	name := p.names.tenant(id)
	role, password := p.login(name)
	claim, err := p.catalog.PlanWarm(ctx, catalog.Warm{
		ID: id, Database: name, Role: role, Password: password, Server: server, SchemaHash: p.hash,
		Most: p.cfg.Warm, Owner: p.owner, TTL: p.cfg.ClaimTTL,
	})
	if errors.Is(err, catalog.ErrNotWanted) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := p.workWarm(ctx, claim); err != nil {
		p.yield(ctx, claim, p.delay(ctx, claim))
		return false, fmt.Errorf("make warm database %q: %w", claim.Tenant.Endpoint.Database, pgerr.Redact(err))
	}
	return true, nil
}

// workWarm does what the claim's state asks for.
func (p *Provisioner) workWarm(ctx context.Context, claim *catalog.Claim) error {
	ctx, cancel := context.WithTimeout(ctx, workLimit)
	defer cancel()
	j := &job{p: p, claim: claim}
	if claim.Tenant.State == tenancy.Provisioning {
		return j.runWithClaim(ctx, j.making())
	}
	return j.runWithClaim(ctx, j.retiring())
}

// warm finishes or drops what processes that died have left, and drops the warm databases that no process asks for.
func (r *reconcileRun) warm(ctx context.Context) error {
	var errs []error
	for ctx.Err() == nil {
		claims, err := r.p.catalog.ClaimWarm(ctx, catalog.WarmWork{
			Owner: r.p.owner, TTL: r.p.cfg.ClaimTTL, SchemaHash: r.p.hash, Attempts: r.p.cfg.Attempts, Idle: warmIdle,
			Limit: 1, // one after the other: no caller waits
		})
		errs = append(errs, err)
		if len(claims) == 0 {
			break
		}
		r.endWarm(ctx, claims[0])
	}
	return errors.Join(append(errs, ctx.Err())...)
}

func (r *reconcileRun) endWarm(ctx context.Context, claim *catalog.Claim) {
	err := r.serverDown(claim.Tenant.Server.Name)
	if err == nil {
		err = r.p.workWarm(ctx, claim)
	}
	switch {
	case err != nil:
		r.retryLater(ctx, claim, err)
	case claim.Tenant.State == tenancy.Provisioning:
		r.record(&r.Stocked, claim.Tenant.ID)
	default:
		r.record(&r.Retired, claim.Tenant.ID)
	}
}

// keepWarm keeps Config.Warm databases ready on each open server until ctx ends. It works on servers side by side: a
// server that does not answer does not hold up the others. Each server gets one database in a round, and a round
// takes at least WarmInterval.
func (p *Provisioner) keepWarm(ctx context.Context) {
	if p.cfg.Warm == 0 {
		return
	}
	k := &keeper{p: p, busy: map[string]bool{}}
	defer p.warmConns.keep()()
	defer k.wg.Wait()
	for ctx.Err() == nil {
		k.round(ctx)
		p.warmConns.tidy()
		select {
		case <-time.After(p.cfg.WarmInterval):
			p.waitNextPass(ctx, p.taken)
		case <-ctx.Done():
		}
	}
}

// keeper is a keepWarm that is running.
type keeper struct {
	p  *Provisioner
	wg sync.WaitGroup

	mu   sync.Mutex // guards busy; held for nothing but reading and writing it
	busy map[string]bool
}

// begin reports whether no round works on server yet, and marks it.
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

// server makes one warm database on a server, if one is missing; the next round then begins at once.
func (k *keeper) server(ctx context.Context, s registry.Server) {
	made, err := k.p.restock(ctx, s.Name)
	if err == nil {
		err = k.refreshWarmConns(ctx, s)
	}
	if err != nil {
		k.logError(ctx, s.Name, err)
	}
	if made {
		signal(k.p.taken)
	}
}

// refreshWarmConns opens connections to the warm databases of a server that will be taken next, up to Config.WarmConns,
// and closes those to databases that others have taken and those that were lost.
func (k *keeper) refreshWarmConns(ctx context.Context, server registry.Server) error {
	if k.p.cfg.WarmConns == 0 {
		return nil
	}
	next, err := k.p.catalog.WarmStock(ctx, server.Name, k.p.hash)
	if err != nil {
		return err
	}
	next = next[:min(len(next), k.p.cfg.WarmConns)]
	h := &k.p.warmConns
	for _, id := range h.ids(server.Name) {
		if !h.due(id, next) {
			continue
		}
		if conn := h.take(id); conn == nil {
			continue // a sign-up was faster
		} else if slices.Contains(next, id) && alive(ctx, conn) {
			h.put(id, conn, server.Name)
		} else {
			pgadmin.Disconnect(conn)
		}
	}
	for _, id := range next {
		if slices.Contains(h.ids(server.Name), id) {
			continue
		}
		conn, err := k.p.connectWarm(ctx, server, id)
		if err != nil {
			return err
		}
		h.put(id, conn, server.Name)
	}
	return nil
}

func alive(ctx context.Context, conn *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, pgadmin.ConnectTimeout)
	defer cancel()
	return conn.Ping(ctx) == nil
}

// connectWarm connects to a warm database as the seed does, and rehearses it.
func (p *Provisioner) connectWarm(ctx context.Context, server registry.Server, id tenancy.ID) (*pgx.Conn, error) {
	cfg, err := p.config(ctx, server, p.names.tenant(id))
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams = maps.Clone(cfg.RuntimeParams)
	if cfg.RuntimeParams == nil {
		cfg.RuntimeParams = map[string]string{}
	}
	cfg.RuntimeParams["idle_session_timeout"] = "0"
	conn, err := pgadmin.Connect(ctx, cfg)
	if err != nil || p.cfg.Rehearse == nil {
		return conn, err
	}
	if err := p.rehearse(ctx, conn); err != nil {
		pgadmin.Disconnect(conn)
		return nil, fmt.Errorf("rehearse: %w", pgerr.Redact(err))
	}
	return conn, nil
}

func (p *Provisioner) rehearse(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, workLimit)
	defer cancel()
	return guard(func() error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		if err := p.cfg.Rehearse(ctx, tx); err != nil {
			return err
		}
		return tx.Rollback(ctx)
	})
}

func (k *keeper) logError(ctx context.Context, server string, err error) {
	if ctx.Err() != nil {
		return
	}
	k.p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "provision: keep databases warm",
		slog.String("server", server), slog.String("error", pgerr.Redact(err).Error()))
}
