package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/registry"
)

// openRegistry makes the registry's database if it is missing, brings it to this version's schema and opens a pool on
// it.
func openRegistry(ctx context.Context, admin *pgx.ConnConfig, name string) (*pgxpool.Pool, error) {
	if err := createDatabase(ctx, admin, name); err != nil {
		return nil, err
	}
	cfg, err := poolConfig(admin)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.Database = name
	cfg.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, errors.New("open registry: bad configuration") // err may hold it
	}
	if err := registry.Migrate(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// createDatabase makes the database unless it is there. Another process may do so at the same moment.
func createDatabase(ctx context.Context, admin *pgx.ConnConfig, name string) error {
	conn, err := pgx.ConnectConfig(ctx, admin)
	if err != nil {
		return errors.New("connect to the PostgreSQL server: no answer, or not let in") // err holds the configuration
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
	if err == nil && !there {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0 ENCODING 'UTF8'")
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		if pgErr.Code == "42P04" || pgErr.Code == "23505" { // it was made meanwhile
			return nil
		}
		return fmt.Errorf("create database %q: SQLSTATE %s", name, pgErr.Code)
	}
	return err
}

// poolConfig returns the configuration of a pool whose connections begin like admin's.
func poolConfig(admin *pgx.ConnConfig) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, errors.New("the environment variables beginning with PG are not right") // err may quote them
	}
	cfg.ConnConfig = admin.Copy()
	return cfg, nil
}
