package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// spare is how many connections beyond a tenant's one the server of the fleet allows.
const spare = 200

// fleet is a PostgreSQL server with a database for each tenant, and a role that owns nothing and may read everything.
type fleet struct {
	server   *devpg.Server
	version  string
	admin    *pgx.Conn
	prefix   string // of its databases; also the name of its role
	password string
	ids      []tenancy.ID
	index    map[tenancy.ID]int
	dials    atomic.Int64 // by configurations of base
}

func startFleet(ctx context.Context, tenants int, say func(string, ...any)) (*fleet, error) {
	server, err := devpg.Start(ctx, devpg.Config{Settings: map[string]string{
		"max_connections": fmt.Sprint(tenants + spare),
		"max_wal_size":    "8GB", // no checkpoint in the middle of a run
		"shared_buffers":  "512MB",
		"autovacuum":      "off", // it would visit a database every 60 ms, so that each has its turn once a minute
	}})
	if err != nil {
		return nil, err
	}
	f := &fleet{
		server: server, prefix: "bench_" + strings.ToLower(rand.Text()[:8]), password: rand.Text(),
		ids: ids(tenants), index: make(map[tenancy.ID]int, tenants),
	}
	for i, id := range f.ids {
		f.index[id] = i
	}
	start := time.Now()
	if err := f.fill(ctx); err != nil {
		return nil, errors.Join(err, f.close())
	}
	took := time.Since(start)
	say("made %s databases in %.1f s, %.1f ms each", thousands(tenants), took.Seconds(), ms(took)/float64(tenants))
	return f, nil
}

func (f *fleet) fill(ctx context.Context) error {
	var err error
	if f.admin, err = pgx.ConnectConfig(ctx, f.server.Config()); err != nil {
		return err
	}
	var conns, number int
	err = f.admin.QueryRow(ctx, `SELECT current_setting('max_connections')::int,
		current_setting('server_version_num')::int, split_part(current_setting('server_version'), ' ', 1)`,
	).Scan(&conns, &number, &f.version)
	if err != nil {
		return err
	}
	if want := len(f.ids) + 20; conns < want {
		return fmt.Errorf("the server of DATABASE_URL has max_connections %d, and %d are needed", conns, want)
	}
	if err := f.makeTemplate(ctx); err != nil {
		return err
	}
	clone := fmt.Sprintf(" TEMPLATE %s", quote(f.template()))
	if number >= 150_000 {
		clone += " STRATEGY wal_log"
	}
	return f.each(ctx, func(ctx context.Context, conn *pgx.Conn, i int) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+quote(f.database(i))+clone)
		return err
	})
}

// makeTemplate makes the role and the database that every tenant's is a copy of.
func (f *fleet) makeTemplate(ctx context.Context) error {
	for _, sql := range []string{
		fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", quote(f.prefix), f.password), // letters and digits
		"CREATE DATABASE " + quote(f.template()),
	} {
		if _, err := f.admin.Exec(ctx, sql); err != nil {
			return err
		}
	}
	config := f.server.Config()
	config.Database = f.template()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		"CREATE TABLE member (id int PRIMARY KEY, name text NOT NULL)",
		"INSERT INTO member SELECT i, 'member ' || i FROM generate_series(0, 999) i",
		"GRANT SELECT ON member TO PUBLIC",
		"VACUUM (FREEZE, ANALYZE)",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return conn.Close(ctx)
}

// each calls do for every tenant, a few at a time.
func (f *fleet) each(ctx context.Context, do func(ctx context.Context, conn *pgx.Conn, i int) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range 4 {
		g.Go(func() error {
			conn, err := pgx.ConnectConfig(ctx, f.server.Config())
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			for {
				i := int(next.Add(1) - 1)
				if i >= len(f.ids) {
					return nil
				}
				if err := do(ctx, conn, i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

func (f *fleet) template() string      { return f.prefix + "_template" }
func (f *fleet) database(i int) string { return fmt.Sprintf("%s_%06d", f.prefix, i) }

// Lookup makes the fleet a directory that answers at once.
func (f *fleet) Lookup(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	i, ok := f.index[id]
	if !ok {
		return tenancy.Tenant{}, tenancy.ErrNotFound
	}
	return tenancy.Tenant{ID: id, State: tenancy.Active, Endpoint: tenancy.Endpoint{Database: f.database(i)}}, nil
}

// base returns the configuration of a pool for the first tenant, as the role. Its dials are counted.
func (f *fleet) base() (*pgxpool.Config, error) {
	base, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	base.ConnConfig = f.server.Config()
	base.ConnConfig.Database, base.ConnConfig.User, base.ConnConfig.Password = f.database(0), f.prefix, f.password
	dial := base.ConnConfig.DialFunc
	base.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		f.dials.Add(1)
		return dial(ctx, network, addr)
	}
	return base, nil
}

// limit lets the role have n connections at most; a negative n means any number.
func (f *fleet) limit(ctx context.Context, n int) error {
	_, err := f.admin.Exec(ctx, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", quote(f.prefix), n))
	return err
}

// quiet waits until the role has no connection any more.
func (f *fleet) quiet(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		err := f.admin.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", f.prefix).Scan(&n)
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close stops the server, or drops its databases and roles on a server that it found.
func (f *fleet) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var errs []error
	if !f.server.Started() && f.admin != nil {
		errs = append(errs, f.each(ctx, func(ctx context.Context, conn *pgx.Conn, i int) error {
			_, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(f.database(i))+" WITH (FORCE)")
			return err
		}))
		for _, sql := range []string{
			"DROP DATABASE IF EXISTS " + quote(f.template()),
			"DROP ROLE IF EXISTS " + quote(f.prefix),
		} {
			_, err := f.admin.Exec(ctx, sql)
			errs = append(errs, err)
		}
	}
	if f.admin != nil {
		errs = append(errs, f.admin.Close(ctx))
	}
	return errors.Join(append(errs, f.server.Stop())...)
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
