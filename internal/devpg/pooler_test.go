package devpg_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

func TestPoolerSharesConnectionsBetweenTransactions(t *testing.T) {
	t.Parallel()
	s := start(t, devpg.Config{})
	p, err := devpg.StartPooler(t.Context(), s.Config())
	if errors.Is(err, devpg.ErrNoPooler) {
		pgtest.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	backends := map[string]bool{}
	for range 20 {
		conn, err := pgx.ConnectConfig(t.Context(), p.Config())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		var pid string
		if err := conn.QueryRow(t.Context(), "SELECT pg_backend_pid()::text").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		backends[pid] = true
	}
	if len(backends) > 4 {
		t.Errorf("20 clients have %d connections to the server", len(backends))
	}
	wrong := p.Config()
	wrong.Password = "wrong"
	if _, err := pgx.ConnectConfig(t.Context(), wrong); err == nil {
		t.Error("logged in with a wrong password")
	}
	if err := errors.Join(p.Stop(), p.Stop()); err != nil {
		t.Error(err)
	}
}

func TestMissingPoolerIsOneLine(t *testing.T) {
	t.Parallel()
	if text := devpg.ErrNoPooler.Error(); strings.Contains(text, "\n") ||
		!strings.Contains(text, "apt-get install pgbouncer") {
		t.Error(text)
	}
}
