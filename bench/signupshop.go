package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

// shop is a registry of its own and what signs up there.
type shop struct {
	*provision.Provisioner
	admin    *pgx.ConnConfig
	pool     *pgxpool.Pool
	admins   *pgxpool.Pool // to the maintenance database
	template string
	prefix   string
	ids      atomic.Int64
	stop     func()
}

// newShop opens one with so many warm databases, and so many connections held open to them.
func (y *yard) newShop(ctx context.Context, stock, conns int) (*shop, error) {
	pool, err := y.database(ctx)
	if err != nil {
		return nil, err
	}
	sh := &shop{
		admin: y.server.Config(), pool: pool, stop: func() {},
		prefix: fmt.Sprintf("%s%d_", y.prefix, y.shops.Add(1)),
	}
	sh.template = sh.prefix + "_template_" + tables{}.Hash()
	if err := sh.open(ctx, stock, conns); err != nil {
		sh.close()
		return nil, err
	}
	return sh, nil
}

func (sh *shop) open(ctx context.Context, stock, conns int) (err error) {
	reg, err := newRegistry(ctx, sh.pool, sh.admin)
	if err != nil {
		return err
	}
	cfg := provision.Config{
		Registry: reg, Admin: sh.admin, Schema: tables{}, Prefix: sh.prefix, Seed: seed, Rehearse: rehearse,
		WarmInterval: time.Millisecond, Interval: 50 * time.Millisecond,
	}
	if sh.admins, err = poolOf(ctx, sh.admin, sh.admin.Database); err != nil {
		return err
	}
	cfg.Warm = stock
	filler, err := provision.New(cfg)
	if err != nil {
		return err
	}
	if err := filler.PrepareTemplate(ctx, "bench"); err != nil {
		return err
	}
	stop := runs(ctx, filler)
	err = sh.until(ctx, func() (bool, error) {
		ids, err := catalog.Of(reg).WarmStock(ctx, "bench", tables{}.Hash())
		return len(ids) == stock, err
	})
	stop()
	if err != nil {
		return err
	}
	// The measured shop makes none itself before the last is taken. It runs as it does in a service.
	cfg.Warm, cfg.WarmConns, cfg.Interval, cfg.WarmInterval = min(1, stock), conns, 0, 0
	if sh.Provisioner, err = provision.New(cfg); err != nil {
		return err
	}
	sh.stop = runs(ctx, sh.Provisioner)
	if conns == 0 {
		return nil
	}
	return sh.until(ctx, func() (bool, error) {
		var n int
		err := sh.admins.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE starts_with(datname, $1) AND state = 'idle' AND query = 'rollback'`, sh.prefix).Scan(&n)
		return n >= conns, err
	})
}

// runs runs p until the function it returns is called.
func runs(ctx context.Context, p *provision.Provisioner) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Run(ctx) // always nil
	}()
	return func() {
		cancel()
		<-done
	}
}

func (sh *shop) until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (sh *shop) close() {
	sh.stop()
	if sh.admins != nil {
		sh.admins.Close()
	}
	sh.pool.Close()
}

// take signs up from stock.
func (sh *shop) take(ctx context.Context) error {
	made, err := sh.signUp(ctx)
	if err == nil && !made.Warm {
		err = errors.New("the stock is empty")
	}
	return err
}

// make signs up without stock.
func (sh *shop) make(ctx context.Context) error {
	_, err := sh.signUp(ctx)
	return err
}

func (sh *shop) signUp(ctx context.Context) (*provision.Result, error) {
	email, err := registry.ParseEmail(fmt.Sprintf("admin%d@example.com", sh.ids.Add(1)))
	if err != nil {
		return nil, err
	}
	return sh.Create(ctx, provision.Request{
		Organization: registry.Organization{Name: "Bench", Email: email},
		Admin:        registry.Admin{Email: email, PasswordHash: passwordHash},
	})
}

// clone does nothing but make a database from the template, which a clone cannot do without.
func (sh *shop) clone(ctx context.Context) error {
	_, err := sh.admins.Exec(ctx, "CREATE DATABASE "+quote(sh.name())+" TEMPLATE "+quote(sh.template))
	return err
}

// build makes a database and runs the schema in it.
func (sh *shop) build(ctx context.Context) error {
	name := sh.name()
	if _, err := sh.admins.Exec(ctx, "CREATE DATABASE "+quote(name)); err != nil {
		return err
	}
	config := sh.admin.Copy()
	config.Database = name
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, tables{}.sql()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertAdmin, name, "admin@example.com", "Ann", "Example", "PRIMARY", passwordHash)
		return err
	})
}

// enter clones, and writes one row into the clone. Without a connection made ahead, no sign-up can do with less.
func (sh *shop) enter(ctx context.Context) error {
	name := sh.name()
	_, err := sh.admins.Exec(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(sh.template))
	if err != nil {
		return err
	}
	config := sh.admin.Copy()
	config.Database = name
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, insertAdmin, name, "admin@example.com", "Ann", "Example", "PRIMARY", passwordHash)
	return err
}

func (sh *shop) name() string { return fmt.Sprintf("%s_extra_%d", sh.prefix, sh.ids.Add(1)) }
