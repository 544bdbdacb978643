package devpg_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
)

// start starts a server that is stopped with the test, if not before.
func start(t *testing.T, config devpg.Config) *devpg.Server {
	t.Helper()
	s, err := devpg.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// query returns the only value of a query, as text.
func query(t *testing.T, config *pgx.ConnConfig, sql string) string {
	t.Helper()
	var value any
	connected(t, config, func(conn *pgx.Conn) error { return conn.QueryRow(t.Context(), sql).Scan(&value) })
	return fmt.Sprint(value)
}

func execute(t *testing.T, config *pgx.ConnConfig, sql string) {
	t.Helper()
	connected(t, config, func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), sql)
		return err
	})
}

func connected(t *testing.T, config *pgx.ConnConfig, f func(*pgx.Conn) error) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := f(conn); err != nil {
		t.Fatal(err)
	}
}

func adminURL(config *pgx.ConnConfig) string {
	u := url.URL{
		Scheme: "postgres", Host: fmt.Sprintf("%s:%d", config.Host, config.Port), Path: config.Database,
		User: url.UserPassword(config.User, config.Password), RawQuery: "sslmode=disable",
	}
	return u.String()
}
