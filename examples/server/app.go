package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/examples/server/api"
	"github.com/pgtenancy/pgtenancy/examples/server/billing"
	"github.com/pgtenancy/pgtenancy/examples/server/schema"
	"github.com/pgtenancy/pgtenancy/examples/server/web"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// serverName is the registry's name for the one PostgreSQL server of this example.
const serverName = "main"

// audience of the access tokens, and their issuer too.
const audience = "pgtenancy-example"

// app is the parts of the program, put together.
type app struct {
	log         *slog.Logger
	pool        *pgxpool.Pool // of the registry
	registry    *registry.Registry
	resolver    *tenancy.Resolver
	provisioner *provision.Provisioner
	accounts    *accounts.Accounts
	issuer      *authn.Issuer
	verifier    *authn.Cache
	publicKeys  http.Handler
	profiles    accounts.Table
	share       *registry.Share
	leave       func() // gives this process's part of the connections back; nil: it has none
	stopping    atomic.Bool
}

// newApp puts the parts together on the server that admin administers. The caller must call close.
func newApp(ctx context.Context, o options, admin *pgx.ConnConfig, log *slog.Logger, h hooks) (*app, error) {
	k, err := loadKeys(o.keysFile)
	if err != nil {
		return nil, err
	}
	a := &app{log: log, publicKeys: k.public}
	if a.pool, err = openRegistry(ctx, admin, o.registry); err != nil {
		return nil, err
	}
	for _, part := range []func() error{
		func() error { return a.openRegistry(ctx, o, admin, k) },
		func() error { return a.openTenants(ctx, o, admin, h) },
		func() error { return a.openAccounts(o, k) },
	} {
		if err := part(); err != nil {
			return nil, errors.Join(err, a.close(ctx))
		}
	}
	return a, nil
}

func (a *app) openRegistry(ctx context.Context, o options, admin *pgx.ConnConfig, k keys) (err error) {
	a.registry, err = registry.New(registry.Config{Pool: a.pool, Keyring: k.ring, Logger: a.log})
	if err != nil {
		return err
	}
	if err := a.registry.CheckKeys(ctx); err != nil {
		return fmt.Errorf("keys file %s: %w", o.keysFile, err)
	}
	return a.registry.PutServer(ctx, registry.Server{
		Name: serverName, Host: admin.Host, Port: admin.Port, MaxConns: o.maxConns,
	})
}

func (a *app) openTenants(ctx context.Context, o options, admin *pgx.ConnConfig, h hooks) error {
	sch, err := atlas.SQL(atlas.Config{FS: schema.FS, Files: []string{"schema.sql"}})
	if err != nil {
		return err
	}
	a.provisioner, err = provision.New(provision.Config{
		Registry: a.registry, Admin: admin, Schema: sch, Prefix: o.prefix,
		Seed: accounts.Seed(a.profiles), SideEffects: append(a.steps(o), h.steps...),
		Warm: o.warm, WarmConns: o.warm, Rehearse: a.rehearse,
		Logger: a.log,
	})
	if err != nil {
		return err
	}
	// Made before the first church comes: to copy it takes a fraction of what it takes to make it.
	if err := a.provisioner.PrepareTemplate(ctx, serverName); err != nil {
		return err
	}
	base, err := poolConfig(admin)
	if err != nil {
		return err
	}
	a.resolver, err = tenancy.New(tenancy.Config{
		Directory: a.registry, Base: base, MaxPools: o.maxPools, Fence: true,
	})
	if err != nil {
		return err
	}
	a.share, err = a.registry.JoinBudget(ctx, budgeted{a.resolver, a.provisioner})
	if err != nil {
		return err
	}
	a.leave = keep(context.WithoutCancel(ctx), a.share)
	return nil
}

// budgeted opens connections within a budget, and counts connections that a killed process has left.
type budgeted struct {
	*tenancy.Resolver
	*provision.Provisioner
}

// rehearse has a connection that is held for a sign-up insert an admin once; it is rolled back.
func (a *app) rehearse(ctx context.Context, tx pgx.Tx) error {
	return a.profiles.Insert(ctx, tx, accounts.Profile{
		ID: "rehearsal", Email: "rehearsal@example.org", Role: registry.RolePrimary,
	})
}

// keep runs share until the function that it returns is called, after the resolver was closed.
func keep(ctx context.Context, share *registry.Share) (leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = share.Run(ctx) // nil, always
	}()
	return func() {
		cancel()
		<-done
	}
}

// steps are the side effects of a sign-up outside PostgreSQL.
func (a *app) steps(o options) []provision.SideEffect {
	if o.stripeKey == "" {
		return nil
	}
	return []provision.SideEffect{billing.SideEffect(billing.Config{
		Key: o.stripeKey, Base: o.stripeBase, Record: a.registry.SetBillingCustomer,
	})}
}

func (a *app) openAccounts(o options, k keys) error {
	hasher, err := authn.NewHasher(authn.HasherConfig{ContextWords: []string{"church", "pgtenancy"}})
	if err != nil {
		return err
	}
	a.issuer, err = authn.NewIssuer(authn.IssuerConfig{Key: k.token, Issuer: audience, Audience: audience})
	if err != nil {
		return err
	}
	verifier, err := authn.NewVerifier(authn.VerifierConfig{
		Keys: k.tokens, Issuer: audience, Audience: audience,
	})
	if err != nil {
		return err
	}
	if a.verifier, err = authn.NewCache(authn.CacheConfig{Verifier: verifier}); err != nil {
		return err
	}
	a.accounts, err = accounts.New(accounts.Config{
		Registry: a.registry, Provisioner: a.provisioner, Resolver: a.resolver, Hasher: hasher, Issuer: a.issuer,
		Profiles: a.profiles, Trial: 14 * 24 * time.Hour, Logger: a.log,
		Throttle: accounts.Throttle{SignUp: accounts.Pace{Free: o.signUpsFrom}, SignUps: accounts.Pace{Free: o.signUps}},
	})
	return err
}

// close waits for the leases of tenants' pools until ctx ends, and closes every pool.
func (a *app) close(ctx context.Context) error {
	var err error
	if a.resolver != nil {
		err = a.resolver.Close(ctx)
	}
	if a.leave != nil {
		a.leave()
	}
	a.pool.Close()
	return err
}

// handler returns everything that the program serves.
func (a *app) handler(o options, h hooks) (http.Handler, error) {
	mw, err := middleware.New(middleware.Config{
		Resolver: a.resolver, Verifier: a.verifier, Identify: o.identify, Logger: a.log, BodyFirst: api.MaxBody,
	})
	if err != nil {
		return nil, err
	}
	mux := table{http.NewServeMux(), h.mounted}
	api.Register(mux, api.Config{
		Accounts: a.accounts, Profiles: a.profiles, Registry: a.registry, Provisioner: a.provisioner,
		Middleware: mw, Logger: a.log, Addr: o.clientAddr, Progress: h.progress,
	})
	err = web.Register(mux, web.Config{
		Accounts: a.accounts, Profiles: a.profiles, Registry: a.registry, Resolver: a.resolver,
		Verifier: a.verifier, Identify: o.identify, Logger: a.log, Addr: o.clientAddr,
	})
	if err != nil {
		return nil, err
	}
	mux.Handle("GET /.well-known/jwks.json", a.publicKeys)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", a.ready)
	return traced(o.clientAddr, logged(a.log, recovered(a.log, mux))), nil
}

// ready says whether requests should be sent here: the registry answers and tells of changes, there are connections for
// this process, and the program is not about to stop.
func (a *app) ready(w http.ResponseWriter, r *http.Request) {
	if a.stopping.Load() || a.registry.Check(r.Context()) != nil || a.share.Check() != nil {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}
