package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Fleet is the parts of a service, running. It is safe for concurrent use. Make one with [Open] and release it with
// [Fleet.Close].
type Fleet struct {
	log         *slog.Logger
	conns       *conns // to the registry
	pool        *pgxpool.Pool
	registry    *registry.Registry
	provisioner *provision.Provisioner
	resolver    *tenancy.Resolver
	share       *registry.Share

	// The loops; nil until Open starts them.
	sharing, following, reconciling *part

	unreadyFor, stopTimeout time.Duration // of Serve

	stopping atomic.Bool
	closing  atomic.Bool
	closed   chan struct{} // closed when the first Close has ended
	closeErr error         // of the first Close, once closed is closed
}

// undoTimeout bounds what an Open that fails does to close what it has opened.
const undoTimeout = 5 * time.Second

// Open makes the parts that cfg describes and starts them. ctx governs Open alone: the parts run, with the values of
// ctx, until Close. The caller must Close the Fleet.
//
// If cfg is wrong, the error names everything that is, and Open has connected to nothing. Otherwise Open fails if the
// registry does not answer, if the keys are not the registry's, or if none of the servers that take new tenants can be
// prepared; where only some of them can, Config.Logger hears of the others, and the tenants of the rest are served.
// After an error nothing is left open, and no loop runs.
func Open(ctx context.Context, cfg Config) (*Fleet, error) {
	p, err := cfg.parse()
	f := &Fleet{log: cfg.Logger, closed: make(chan struct{})}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	err = errors.Join(err, f.setTimes(cfg), f.build(ctx, cfg, p)) // also if err is set, so that everything is named
	if err == nil {
		if err = f.open(ctx, cfg, p); err == nil {
			return f, nil
		}
		if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) { // database/sql, in Migrate, does not say so
			err = errors.Join(ended, err)
		}
		err = fmt.Errorf("fleet: open: %w", err)
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return nil, errors.Join(err, f.Close(undo))
}

// Registry returns the catalogue of servers and tenants.
func (f *Fleet) Registry() *registry.Registry { return f.registry }

// Provisioner returns what creates, suspends, upgrades and drops tenants.
func (f *Fleet) Provisioner() *provision.Provisioner { return f.provisioner }

// Resolver returns what leases the pools of tenants' databases, for package middleware and jobs.
func (f *Fleet) Resolver() *tenancy.Resolver { return f.resolver }

// Format implements [fmt.Formatter]: under every verb a Fleet shows nothing; it leads to the keys.
func (*Fleet) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "fleet") }

// build makes the parts, and connects to nothing. Where p lacks something, the parts get an empty one, which is never
// used: so the error names what else is wrong.
func (f *Fleet) build(ctx context.Context, cfg Config, p parsed) error {
	var errs [4]error
	reg := registry.Config{Pool: new(pgxpool.Pool), Keyring: p.keys, Logger: f.log}
	if p.registry != nil {
		if errs[0] = f.makePool(ctx, p.registry); f.pool != nil {
			reg.Pool = f.pool
		}
	}
	if p.keys == nil {
		reg.Keyring = new(keyring.Keyring)
	}
	edit(cfg.EditRegistry, &reg)
	if f.registry, errs[1] = registry.New(reg); errs[1] != nil {
		f.registry = new(registry.Registry)
	}
	prov := provision.Config{
		Registry: f.registry, Schema: cfg.Schema, Prefix: cfg.Prefix, Logger: f.log,
		Admins: make(map[string]*pgx.ConnConfig, len(p.servers)),
	}
	ten := tenancy.Config{
		Directory: f.registry, Fence: true, Base: p.firstBase(), Bases: make(map[string]*pgxpool.Config, len(p.servers)),
	}
	for _, s := range p.servers {
		if s.admin != nil {
			prov.Admins[s.record.Name], ten.Bases[s.record.Name] = s.admin.ConnConfig, s.base()
		}
	}
	if len(prov.Admins) == 0 {
		prov.Admin = new(pgx.ConnConfig)
	}
	edit(cfg.EditProvision, &prov)
	edit(cfg.EditTenancy, &ten)
	f.provisioner, errs[2] = provision.New(prov)
	if ten.Base != nil { // else a server's error is there already
		f.resolver, errs[3] = tenancy.New(ten)
	}
	return errors.Join(errs[:]...)
}

func edit[T any](hook func(*T), cfg *T) {
	if hook != nil {
		hook(cfg)
	}
}

// makePool makes the registry's pool, which connects when it is first used.
func (f *Fleet) makePool(ctx context.Context, cfg *pgxpool.Config) (err error) {
	defer func() {
		if recover() != nil { // it is pgxpool's answer to this mistake
			err = errors.New("fleet: Config.RegistryConfig: must be made by pgxpool.ParseConfig")
		}
	}()
	f.conns = newConns(cfg.ConnConfig.DialFunc)
	cfg.ConnConfig.DialFunc = f.conns.dial
	f.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), cfg)
	if err != nil {
		return fmt.Errorf("fleet: Config.Registry: %w", pgerr.Redact(err))
	}
	return nil
}

// open brings the registry, the servers and this process's share up to date, and starts the loops.
func (f *Fleet) open(ctx context.Context, cfg Config, p parsed) error {
	if !cfg.SkipMigrate {
		if err := registry.Migrate(ctx, f.pool); err != nil {
			return err
		}
	}
	if err := f.addServers(ctx, p.servers); err != nil {
		if cfg.KeysFile != "" {
			return fmt.Errorf("keys file %s: %w", cfg.KeysFile, err)
		}
		return err
	}
	if err := f.prepare(ctx, p.servers); err != nil {
		return err
	}
	var err error
	if f.share, err = f.registry.JoinBudget(ctx, budgeted{f.resolver, f.provisioner}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		// JoinBudget has written down that this process lives: its Run takes that back.
		f.sharing = start(context.WithoutCancel(ctx), "budget share", f.share.Run)
		return err
	}
	f.start(context.WithoutCancel(ctx), cfg.Revoker)
	return nil
}

// budgeted opens connections within a budget, and counts connections that a killed process has left.
type budgeted struct {
	*tenancy.Resolver
	*provision.Provisioner
}

// follower receives every change to a tenant and every closed session.
type follower struct {
	*tenancy.Resolver
	registry.Revoker
}

func (f *Fleet) start(ctx context.Context, revoker registry.Revoker) {
	follow := func(ctx context.Context) error { return f.registry.Follow(ctx, f.resolver) }
	if revoker != nil {
		follow = func(ctx context.Context) error { return f.registry.Follow(ctx, follower{f.resolver, revoker}) }
	}
	f.sharing = start(ctx, "budget share", f.share.Run)
	f.following = start(ctx, "follower", follow)
	f.reconciling = start(ctx, "reconciler", f.provisioner.Run)
}

// addServers makes sure of the keys and that the registry knows the servers.
func (f *Fleet) addServers(ctx context.Context, servers []parsedServer) error {
	if err := f.registry.CheckKeys(ctx); err != nil {
		return err
	}
	for i, s := range servers {
		record, err := f.registry.AddServer(ctx, s.record)
		if err != nil {
			return err
		}
		if record.Host != s.record.Host || record.Port != s.record.Port {
			f.log.LogAttrs(ctx, slog.LevelWarn,
				"fleet: the registry has another address for a server than Config.Servers, and its tenants are there",
				slog.String("server", record.Name), slog.String("host", record.Host), slog.Int("port", int(record.Port)))
		}
		servers[i].record = record
	}
	return f.warnOfOthers(ctx, servers)
}

// warnOfOthers logs the servers of the registry that are not in Config.Servers.
func (f *Fleet) warnOfOthers(ctx context.Context, servers []parsedServer) error {
	all, err := f.registry.Servers(ctx)
	for _, s := range all {
		if !slices.ContainsFunc(servers, func(p parsedServer) bool { return p.record.Name == s.Name }) {
			f.log.LogAttrs(ctx, slog.LevelWarn, "fleet: a server of the registry is missing in Config.Servers",
				slog.String("server", s.Name))
		}
	}
	return err
}

// prepare makes the templates of the servers that take new tenants, side by side. It returns an error if that fails
// everywhere.
func (f *Fleet) prepare(ctx context.Context, servers []parsedServer) error {
	errs := make([]error, 0, len(servers))
	var mu sync.Mutex // guards errs and prepared
	prepared := 0
	var wg sync.WaitGroup
	for _, s := range servers {
		if s.record.State != registry.ServerOpen {
			continue
		}
		wg.Go(func() {
			err := f.provisioner.PrepareTemplate(ctx, s.record.Name)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				prepared++
				return
			}
			errs = append(errs, err)
		})
	}
	wg.Wait()
	if prepared == 0 || ctx.Err() != nil {
		return errors.Join(errs...)
	}
	for _, err := range errs {
		f.log.LogAttrs(ctx, slog.LevelWarn, "fleet: a server is not ready for new tenants",
			slog.String("error", pgerr.Redact(err).Error()))
	}
	return nil
}
