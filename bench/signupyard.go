package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
)

// yard is a server on which sign-ups are measured.
type yard struct {
	server  *devpg.Server
	fsync   string
	version string
	prefix  string // of everything on it
	shops   atomic.Int64
}

func newYard(ctx context.Context, fsync string) (*yard, error) {
	server, err := devpg.Start(ctx, devpg.Config{Settings: map[string]string{
		"fsync": fsync, "synchronous_commit": fsync, "full_page_writes": fsync,
		"max_connections": "300", "max_wal_size": "8GB", "shared_buffers": "512MB", "autovacuum": "off",
	}})
	if err != nil {
		return nil, err
	}
	y := &yard{server: server, fsync: fsync, prefix: "b" + strings.ToLower(rand.Text()[:8])}
	err = y.ask(ctx, "SELECT split_part(current_setting('server_version'), ' ', 1)", &y.version)
	if err != nil {
		return nil, errors.Join(err, y.close())
	}
	return y, nil
}

func (y *yard) ask(ctx context.Context, sql string, answer any) error {
	conn, err := pgx.ConnectConfig(ctx, y.server.Config())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, sql).Scan(answer)
}

// fill makes databases, two at a time, until there are n; those of the sign-ups before count.
func (y *yard) fill(ctx context.Context, n int) error {
	var there int
	if err := y.ask(ctx, "SELECT count(*) FROM pg_database", &there); err != nil {
		return err
	}
	pool, err := poolOf(ctx, y.server.Config(), y.server.Config().Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	return atOnce(ctx, 2, n-there, func(ctx context.Context) error {
		name := fmt.Sprintf("%s_ballast_%d", y.prefix, y.shops.Add(1))
		_, err := pool.Exec(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE template0")
		return err
	})
}

// close stops the server, or drops its databases and roles on a server that it found.
func (y *yard) close() error {
	if y == nil {
		return nil
	}
	if y.server.Started() {
		return y.server.Stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, y.server.Config())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, what := range []string{
		"SELECT format('ALTER DATABASE %I IS_TEMPLATE false', datname) FROM pg_database WHERE starts_with(datname, $1)",
		"SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database WHERE starts_with(datname, $1)",
		"SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE starts_with(rolname, $1)",
	} {
		rows, _ := conn.Query(ctx, what, y.prefix)
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, sql := range statements {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return err
			}
		}
	}
	return y.server.Stop()
}

// database makes an empty database and returns a pool of connections to it.
func (y *yard) database(ctx context.Context) (*pgxpool.Pool, error) {
	name := fmt.Sprintf("%s_registry_%d", y.prefix, y.shops.Add(1))
	conn, err := pgx.ConnectConfig(ctx, y.server.Config())
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE template0"); err != nil {
		return nil, err
	}
	return poolOf(ctx, y.server.Config(), name)
}

func poolOf(ctx context.Context, admin *pgx.ConnConfig, database string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	config.ConnConfig = admin.Copy()
	config.ConnConfig.Database = database
	config.MaxConns = 16
	return pgxpool.NewWithConfig(ctx, config)
}
