package tenancy_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// setting asks a tenant's database for a setting.
func setting(t *testing.T, r *tenancy.Resolver, name string) (value string, err error) {
	t.Helper()
	err = r.AcquireFunc(t.Context(), "t0", func(ctx context.Context, pool *pgxpool.Pool) error {
		return pool.QueryRow(ctx, `SELECT current_setting($1::text)`, name).Scan(&value)
	})
	return value, err
}

// Guards: PostgreSQL noticed after two hours that a client was gone, and counted connections without a client.
func TestConnectionsHavePostgreSQLNoticeThatTheirClientIsGone(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	base.ConnConfig.RuntimeParams["tcp_keepalives_count"] = "7"
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	for name, want := range map[string]string{
		"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "7",
		"tcp_user_timeout": "60000", "client_connection_check_interval": "2s",
	} {
		got, err := setting(t, r, name)
		if err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", name, got, want, err)
		}
	}
}

// Guards: a backend with a long query does not notice that the socket is closed until it writes, and counts until then.
func TestQueryOfAClientThatIsGoneEnds(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	lease, err := r.Acquire(t.Context(), "t0")
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	conn, err := lease.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	pid := conn.Conn().PgConn().PID()
	query := []byte("SELECT pg_sleep(600)\x00")
	message := append([]byte{'Q', 0, 0, 0, byte(4 + len(query))}, query...)
	if _, err := conn.Conn().PgConn().Conn().Write(message); err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.ConnectConfig(t.Context(), pgtest.Admin(t))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	await := func(what, state string) {
		t.Helper()
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for end := time.Now().Add(15 * time.Second); ; <-ticker.C {
			var there bool
			if err := admin.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE pid = $1::int AND state = 'active')`, int64(pid)).Scan(&there); err != nil {
				t.Fatal(err)
			}
			if there == (state == "active") {
				return
			}
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	await("the query never began", "active")
	_ = conn.Conn().PgConn().Conn().Close()
	await("the backend works on for a client that is gone", "")
}

func TestPoolerGetsNoSettingsThatItRefuses(t *testing.T) {
	t.Parallel()
	pooler := pgtest.Pooler(t)
	for _, pooled := range []bool{true, false} {
		dir, base := databases(t, 1)
		rec := dir.records["t0"]
		rec.Endpoint.Host, rec.Endpoint.Port, rec.Endpoint.Pooled = pooler.Host, pooler.Port, pooled
		dir.put(rec)
		base.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		r := resolver(t, tenancy.Config{Directory: dir, Base: base})
		failed := 0
		for range 5 {
			if _, err := setting(t, r, "tcp_keepalives_idle"); err != nil {
				failed++
			}
		}
		closeNow(t, r)
		if pooled && failed > 0 || failed > 1 {
			t.Errorf("pooled %t: %d of 5 queries failed", pooled, failed)
		}
	}
}
