package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// hostile are values that change the meaning of a connection string made of them.
func hostile() []string {
	return []string{
		"t1' host='evil.example", "t1 host=evil.example", "t1\\' host=evil.example", "t1 hostaddr=203.0.113.66 port=6666",
		"host=evil.example,db.internal", "db.internal,evil.example", "evil.example:6666", "db.internal:6666", "[::1]:6666",
		"/tmp/evil", "@evil", "\\\\.\\pipe\\evil", "t1?host=evil.example&port=6666", "postgres://evil.example:6666/t1",
		"postgres://u:p@evil.example/t1?options=-crole%3Dpostgres", "t1 options='-c role=postgres'", "-c role=postgres",
		"t1 options=-csession_replication_role=replica", "t1 passfile=%s", "t1 service=evil", "service=evil",
		"t1 servicefile=%s",
		"t1 sslmode=disable", "t1 sslkey=%s", "t1 sslrootcert=%s", "t1 application_name=x replication=database",
		"t1\x00options\x00-c role=postgres", "user\x00postgres\x00", "\x00", "t1\x00", "t1\nhost=evil.example", "'", `"`,
		`\`, "''",
		`t1"; DROP DATABASE "t2`, "$(touch %s)", "`touch %s`", "t1 target_session_attrs=any host=evil.example", " ", "=",
		"host=",
		strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("ü", 32), strings.Repeat("x", 1<<16), "t\xff1",
		"..", "../../etc/passwd", "%s", "t1 krbsrvname=evil gssencmode=require", "t1 min_protocol_version=3.2",
		"template1", "postgres",
	}
}

// Any text in a column of a tenant's row is that column's value and nothing else: nothing is dialled but the
// address in the row, nothing is asked of the server but the row's user and database, and no password comes from
// elsewhere.
func TestHostileRowReachesNoOtherAddressAndSetsNothing(t *testing.T) {
	trap := trapEnvironment(t)
	base, err := pgxpool.ParseConfig("host=db.internal port=5432 user=app password=base dbname=none sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	// From here on the environment is the attacker's.
	for name, value := range trap.env {
		t.Setenv(name, value)
	}
	w := &wiretap{allowed: "192.0.2.7"}
	base.ConnConfig.DialFunc, base.ConnConfig.LookupFunc = w.dial, w.lookup
	params := make(map[string]string)
	maps.Copy(params, base.ConnConfig.RuntimeParams)
	maps.Copy(params, tenancy.KeepaliveSettings())

	values := hostile()
	for i, v := range values {
		values[i] = strings.ReplaceAll(v, "%s", trap.file)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	rows, refused := pgtest.Size(100, 10_000), 0
	dir := newTenants()
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, BreakerThreshold: -1, TTL: -1, NotFoundTTL: -1})
	defer closeNow(t, r)
	for i := range rows {
		row := tenancy.Endpoint{
			Host: "db.internal", Port: 5432, Database: "t1", User: "u1",
			Password: tenancy.NewSecret("p1"),
		}
		for n := range 1 + i%3 { // of one, two or three columns
			v := values[(i+n*7)%len(values)]
			if i >= len(values)*5 {
				v += values[rnd.IntN(len(values))]
			}
			switch (i + n) % 5 {
			case 0:
				row.Database = v
			case 1:
				row.User = v
			case 2:
				row.Password = tenancy.NewSecret(v)
			case 3:
				row.Host = v
			case 4:
				row.Server = v
			}
		}
		dir.put(tenancy.Tenant{ID: "t0", State: tenancy.Active, Epoch: int64(i + 1), Endpoint: row})
		w.expect(row, params)
		r.Invalidate("t0", int64(i+1))
		err := query(t, r, "t0")
		var pg *pgconn.PgError
		if err == nil {
			t.Errorf("row %d: a query ran", i)
		}
		if !errors.As(err, &pg) || pg.Code != "28P99" { // what the server here says
			refused++
		}
		if err != nil && strings.Contains(err.Error(), "p1") {
			t.Errorf("row %d: the password is in %v", i, err)
		}
	}
	if _, err := os.Stat(trap.touched); err == nil {
		t.Error("a file was made")
	}
	if len(w.wrong) > 0 || w.logins < rows/4 {
		t.Errorf("%d logins; %s", w.logins, strings.Join(w.wrong[:min(len(w.wrong), 10)], "\n"))
	}
	pgtest.Figure(t, "S12", "%d rows, %d refused before a login; %d dials, %d logins: %d to another address, with "+
		"another parameter or another password",
		rows, refused, w.dials, w.logins, len(w.wrong))
}

// trap is an environment and files that would change a connection, were they read.
type trap struct {
	env           map[string]string
	file, touched string
}

func trapEnvironment(t *testing.T) trap {
	t.Helper()
	dir := t.TempDir()
	passfile, service := filepath.Join(dir, "pass"), filepath.Join(dir, "service")
	for name, text := range map[string]string{
		passfile: "*:*:*:*:from-the-passfile\n",
		service:  "[evil]\nhost=evil.example\nport=6666\nuser=postgres\npassword=from-the-service\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return trap{file: passfile, touched: filepath.Join(dir, "touched"), env: map[string]string{
		"PGPASSFILE": passfile, "PGSERVICEFILE": service, "PGSERVICE": "evil", "PGHOST": "evil.example", "PGPORT": "6666",
		"PGUSER": "postgres", "PGPASSWORD": "from-the-environment", "PGOPTIONS": "-c role=postgres", "PGAPPNAME": "evil",
		"PGDATABASE": "evil", "PGTARGETSESSIONATTRS": "any",
	}}
}

// wiretap is a network with one server, which asks for a password in the clear, notes what clients send and refuses.
type wiretap struct {
	allowed string // the address of db.internal

	mu            sync.Mutex // guards the rest
	row           tenancy.Endpoint
	params        map[string]string
	dials, logins int
	wrong         []string
}

func (w *wiretap) expect(row tenancy.Endpoint, params map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.row, w.params = row, maps.Clone(params)
	w.params["user"], w.params["database"] = row.User, row.Database
}

func (w *wiretap) lookup(_ context.Context, host string) ([]string, error) {
	if host != "db.internal" {
		return nil, fmt.Errorf("no such host: %q", host)
	}
	return []string{w.allowed}, nil
}

func (w *wiretap) dial(_ context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials++
	if addr != w.allowed+":5432" || network != "tcp" {
		// A row may name a directory of sockets, as one may name a host. It is that directory and no other.
		if n, a := pgconn.NetworkAddress(w.row.Host, 5432); n != "unix" || a != addr || network != n {
			w.wrong = append(w.wrong, fmt.Sprintf("dialled %s %q for %q", network, addr, w.row.Host))
		}
		return nil, errNoDial
	}
	client, server := net.Pipe()
	go w.serve(server)
	return client, nil
}

func (w *wiretap) serve(conn net.Conn) {
	defer conn.Close()
	backend := pgproto3.NewBackend(conn, conn)
	msg, err := backend.ReceiveStartupMessage()
	startup, ok := msg.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if backend.Flush() != nil || backend.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	answer, err := backend.Receive()
	password, ok := answer.(*pgproto3.PasswordMessage)
	if err != nil || !ok {
		return
	}
	w.mu.Lock()
	w.logins++
	if !maps.Equal(startup.Parameters, w.params) || password.Password != w.row.Password.Reveal() {
		w.wrong = append(w.wrong, fmt.Sprintf("logged in with %q and %q, the row has %q", startup.Parameters,
			password.Password, w.params))
	}
	w.mu.Unlock()
	backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P99", Message: "no"})
	_ = backend.Flush()
}
