package tenancy_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func run(t testing.TB, cfg *pgxpool.Config, database, sql string) {
	t.Helper()
	cc := cfg.ConnConfig.Copy()
	cc.Database = database
	conn, err := pgx.ConnectConfig(t.Context(), cc)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// takeAll returns n connections of the pool, each of which has run sql.
func takeAll(t testing.TB, pool *pgxpool.Pool, n int, sql string) []*pgxpool.Conn {
	t.Helper()
	conns := make([]*pgxpool.Conn, n)
	for i := range conns {
		c, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		if err := discard(c.Query(t.Context(), sql)); err != nil {
			t.Fatal(err)
		}
	}
	return conns
}

func discard(rows pgx.Rows, _ error) error {
	rows.Close()
	return rows.Err()
}

func pids(conns []*pgxpool.Conn) map[uint32]bool {
	seen := map[uint32]bool{}
	for _, c := range conns {
		seen[c.Conn().PgConn().PID()] = true
	}
	return seen
}

func giveBack(conns []*pgxpool.Conn) {
	for _, c := range conns {
		c.Release()
	}
}

const schemaBefore = `CREATE TYPE mood AS ENUM ('good'); CREATE TABLE members (id int, m mood);
	INSERT INTO members VALUES (1, 'good')`

// schemaChanges are what an upgrade does to the statements and types that connections remember.
func schemaChanges() map[string]string {
	return map[string]string{
		"a column more": "ALTER TABLE members ADD COLUMN nick text",
		"a type anew": `ALTER TYPE mood RENAME TO was; CREATE TYPE mood AS ENUM ('good', 'bad');
			ALTER TABLE members ALTER COLUMN m TYPE mood USING m::text::mood; DROP TYPE was`,
	}
}

func TestRenewedConnectionsRememberNothing(t *testing.T) {
	t.Parallel()
	for name, change := range schemaChanges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, base := databases(t, 1)
			database := dir.records["t0"].Endpoint.Database
			run(t, base, database, schemaBefore)
			r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConnsPerTenant: 4})
			defer closeNow(t, r)
			l := acquire(t, r, "t0")
			defer l.Release()
			const sql = "SELECT * FROM members"
			conns := takeAll(t, l.Pool(), 4, sql)
			before := pids(conns)
			tx, err := conns[0].Begin(t.Context()) // in flight
			if err != nil {
				t.Fatal(err)
			}
			giveBack(conns[1:])
			run(t, base, database, change)
			r.Renew("t0")
			fresh := takeAll(t, l.Pool(), 3, sql)
			for pid := range pids(fresh) {
				if before[pid] {
					t.Error("an idle connection was kept")
				}
			}
			if _, err := tx.Exec(t.Context(), "INSERT INTO members (id) VALUES (2)"); err != nil {
				t.Errorf("the transaction in flight: %v", err)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Errorf("the transaction in flight: %v", err)
			}
			conns[0].Release()
			giveBack(fresh)
			after := takeAll(t, l.Pool(), 4, sql)
			for pid := range pids(after) {
				if before[pid] {
					t.Error("the connection that was in use was kept after it was given back")
				}
			}
			giveBack(after)
		})
	}
}

// A resolver that is not told finds out by the first query that fails.
func TestFirstStatementThatIsOutOfDateRenewsAllConnections(t *testing.T) {
	t.Parallel()
	for name, change := range schemaChanges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, base := databases(t, 1)
			database := dir.records["t0"].Endpoint.Database
			run(t, base, database, schemaBefore)
			r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConnsPerTenant: 4})
			defer closeNow(t, r)
			l := acquire(t, r, "t0")
			defer l.Release()
			const sql = "SELECT * FROM members WHERE m = $1::mood OR true"
			const other = "SELECT m, * FROM members WHERE m = $1::mood OR true"
			conns := make([]*pgxpool.Conn, 4)
			ask := func(c *pgxpool.Conn, sql string) error {
				rows, err := c.Query(t.Context(), sql, "good")
				return discard(rows, err)
			}
			for i := range conns {
				c, err := l.Pool().Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				conns[i] = c
				if err := ask(c, sql); err != nil {
					t.Fatal(err)
				}
				if err := ask(c, other); err != nil {
					t.Fatal(err)
				}
			}
			giveBack(conns)
			run(t, base, database, change)
			failed := 0
			for range 8 { // each would fail twice on each connection
				c, err := l.Pool().Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, sql := range []string{sql, other} {
					if ask(c, sql) != nil {
						failed++
						break
					}
				}
				c.Release()
			}
			if failed != 1 {
				t.Errorf("%d queries failed, want 1", failed)
			}
		})
	}
}

func TestStatementThatPostgreSQLDoesNotSupportRenewsNothing(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConnsPerTenant: 2})
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	defer l.Release()
	conns := takeAll(t, l.Pool(), 2, "SELECT 1")
	before := pids(conns)
	if _, err := conns[0].Exec(t.Context(), "SELECT * FROM otherdatabase.public.members"); err == nil { // 0A000
		t.Fatal("supported")
	}
	giveBack(conns)
	after := takeAll(t, l.Pool(), 2, "SELECT 1")
	for pid := range pids(after) {
		if !before[pid] {
			t.Error("a connection was dropped")
		}
	}
	giveBack(after)
}

// Work in flight outlives a rotation, however long it lasts, and a lease that is held on connects with the new
// password.
func TestRotationCutsNothingAndNewConnectionsHaveTheNewPassword(t *testing.T) {
	t.Parallel()
	dir, base, admin, role := tenantWithRole(t)
	r := resolver(t, tenancy.Config{
		Directory: dir, Base: base, MaxConnsPerTenant: 2, DrainTimeout: time.Millisecond,
	})
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	defer l.Release()
	tx, err := l.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir.rotate()
	setPassword(t, admin, role, "new")
	r.Invalidate("t0", 2)
	eventually(t, "the lease knows the new password", func() bool {
		return l.Tenant().Endpoint.Password == tenancy.NewSecret("new") || l.Err() != nil
	})
	looked := dir.asked("t0")
	var slept string
	// Much longer than DrainTimeout.
	if err := tx.QueryRow(t.Context(), "SELECT pg_sleep(0.1)::text").Scan(&slept); err != nil {
		t.Errorf("the transaction in flight: %v", err)
	}
	if err := l.Pool().Ping(t.Context()); err != nil { // its other connection is in use
		t.Errorf("a new connection: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("the transaction in flight: %v", err)
	}
	if n := dir.asked("t0") - looked; n != 0 {
		t.Errorf("the directory was asked %d times: the new connection began with the old password", n)
	}
	if l.Err() != nil || r.Stat().EvictCount(tenancy.CauseChanged) != 0 {
		t.Errorf("the lease is over: %v", l.Err())
	}
}
