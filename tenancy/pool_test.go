package tenancy_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// opened returns the configuration of the pool that base and ep make.
func opened(t *testing.T, base *pgxpool.Config, ep tenancy.Endpoint) (*pgxpool.Config, error) {
	t.Helper()
	dir := newTenants()
	dir.put(tenancy.Tenant{ID: "acme", State: tenancy.Active, Endpoint: ep})
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxConnsPerTenant: 3})
	defer closeNow(t, r)
	l, err := r.Acquire(t.Context(), "acme")
	if err != nil {
		return nil, err
	}
	defer l.Release()
	return l.Pool().Config(), nil
}

func parse(t *testing.T, s string) *pgxpool.Config {
	t.Helper()
	c, err := pgxpool.ParseConfig(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// targets prints what a connect would try, in order.
func targets(c *pgxpool.Config) []string {
	all := []*pgconn.FallbackConfig{{Host: c.ConnConfig.Host, Port: c.ConnConfig.Port, TLSConfig: c.ConnConfig.TLSConfig}}
	var out []string
	for _, f := range append(all, c.ConnConfig.Fallbacks...) {
		s := "plain"
		if f.TLSConfig != nil {
			s = fmt.Sprintf("tls %q verify %v", f.TLSConfig.ServerName, !f.TLSConfig.InsecureSkipVerify)
		}
		out = append(out, fmt.Sprintf("%s:%d %s", f.Host, f.Port, s))
	}
	return out
}

func TestPoolGoesToTheEndpointAndNowhereElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base string
		ep   tenancy.Endpoint
		want []string
	}{
		{"host=a,b port=1,2 sslmode=disable", tenancy.Endpoint{}, []string{"a:1 plain", "b:2 plain"}},
		{"host=a,b port=1,2 sslmode=disable", tenancy.Endpoint{Port: 9}, []string{"a:9 plain", "b:9 plain"}},
		{"host=a,b port=1,2 sslmode=disable", tenancy.Endpoint{Host: "t"}, []string{"t:1 plain"}},
		{
			"host=a,b sslmode=prefer",
			tenancy.Endpoint{Host: "t", Port: 9},
			[]string{`t:9 tls "t" verify false`, "t:9 plain"},
		},
		{
			"host=a,a sslmode=allow",
			tenancy.Endpoint{Host: "t", Port: 9},
			[]string{"t:9 plain", `t:9 tls "t" verify false`},
		},
		{"host=a sslmode=verify-full", tenancy.Endpoint{Host: "t", Port: 9}, []string{`t:9 tls "t" verify true`}},
		{"host=/tmp,a sslmode=verify-full", tenancy.Endpoint{Host: "t", Port: 9}, []string{`t:9 tls "t" verify true`}},
		{"host=a sslmode=verify-full", tenancy.Endpoint{Host: "/run", Port: 9}, []string{"/run:9 plain"}},
		{"host=/tmp", tenancy.Endpoint{Port: 9}, []string{"/tmp:9 plain"}},
	} {
		c.ep.Database = "d"
		got, err := opened(t, parse(t, c.base), c.ep)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, targets(got)); diff != "" {
			t.Errorf("%s + %+v: %s", c.base, c.ep, diff)
		}
	}
}

func TestPoolTakesTheRestFromBase(t *testing.T) {
	t.Parallel()
	base := parse(t, "host=a user=u password=p dbname=x pool_max_conns=50 pool_min_conns=5 pool_min_idle_conns=5 "+
		"application_name=shop sslmode=verify-full")
	base.ConnConfig.TLSConfig.ServerName = "by-hand"
	got, err := opened(t, base, tenancy.Endpoint{Host: "t", Database: "d"})
	if err != nil {
		t.Fatal(err)
	}
	cc := got.ConnConfig
	if cc.User != "u" || cc.Password != "p" || cc.Database != "d" || cc.RuntimeParams["application_name"] != "shop" {
		t.Errorf("user %q, database %q, params %v", cc.User, cc.Database, cc.RuntimeParams)
	}
	if got.MaxConns != 3 || got.MinConns != 0 || got.MinIdleConns != 0 ||
		cc.ConnectTimeout != 10*time.Second { // 5 s, and BudgetWait
		t.Errorf("MaxConns %d, MinConns %d, MinIdleConns %d, ConnectTimeout %v",
			got.MaxConns, got.MinConns, got.MinIdleConns, cc.ConnectTimeout)
	}
	if cc.TLSConfig.ServerName != "by-hand" {
		t.Errorf("server name %q", cc.TLSConfig.ServerName)
	}
	if base.MaxConns != 50 || base.ConnConfig.Database != "x" || base.ConnConfig.Host != "a" {
		t.Error("the caller's configuration was changed")
	}
	got, err = opened(t, parse(t, "host=a connect_timeout=7"), tenancy.Endpoint{
		Database: "d", User: "v",
		Password: tenancy.NewSecret("q"),
	})
	if err != nil || got.ConnConfig.ConnectTimeout != 12*time.Second || got.ConnConfig.User != "v" ||
		got.ConnConfig.Password != "q" {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestBadEndpointsAreRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	for _, c := range []struct {
		base, want string
		ep         tenancy.Endpoint
	}{
		{"host=a", "endpoint: Database: required", tenancy.Endpoint{Host: "t"}},
		{"host=a", "endpoint: Database: contains a zero byte", tenancy.Endpoint{Database: "d\x00options"}},
		{"host=a", "endpoint: Password: contains a zero byte", tenancy.Endpoint{
			Database: "d",
			Password: tenancy.NewSecret("\x00"),
		}},
		{"host=a", "endpoint: Host: must be one host", tenancy.Endpoint{Database: "d", Host: "t,evil"}},
		{"host=a", "endpoint: Database: longer than 63 bytes", tenancy.Endpoint{Database: long}},
		{"host=a", "endpoint: User: longer than 63 bytes", tenancy.Endpoint{Database: "d", User: long}},
		{"host=/tmp sslmode=verify-full", "TLS is undecided", tenancy.Endpoint{Database: "d", Host: "t"}},
	} {
		_, err := opened(t, parse(t, c.base), c.ep)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %s", c.ep, err, c.want)
		}
	}
}

func TestEnvironmentHasNoSayInATarget(t *testing.T) {
	base := parse(t, "host=a port=1 user=u password=p sslmode=disable")
	for k, v := range map[string]string{
		"PGHOST": "evil", "PGPORT": "666", "PGDATABASE": "evil", "PGUSER": "evil", "PGPASSWORD": "evil",
		"PGSSLMODE": "require",
	} {
		t.Setenv(k, v)
	}
	got, err := opened(t, base, tenancy.Endpoint{Host: "t", Database: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprint(targets(got), got.ConnConfig.User, got.ConnConfig.Database,
		got.ConnConfig.Password); strings.Contains(s, "evil") {
		t.Error(s)
	}
}

func TestBeforeConnectMayNotChangeTheDatabase(t *testing.T) {
	t.Parallel()
	base := undialled()
	change := "tenant_globex"
	base.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		cc.Password = "short-lived"
		if change != "" {
			cc.Database = change
		}
		return nil
	}
	r := resolver(t, tenancy.Config{Directory: newTenants("acme"), Base: base})
	defer closeNow(t, r)
	l := acquire(t, r, "acme")
	defer l.Release()
	if err := l.Pool().Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "must not change the database") {
		t.Errorf("error %v", err)
	}
	change = ""
	wantErr(t, l.Pool().Ping(t.Context()), errNoDial)
}

func TestNewReportsEveryViolation(t *testing.T) {
	t.Parallel()
	_, err := tenancy.New(tenancy.Config{MaxPools: -1, MaxConnsPerTenant: -1, OpenTimeout: -1, MaxNotFound: -1})
	want := `tenancy: Config.Directory: required
tenancy: Config.Base: required
tenancy: Config.MaxPools: must not be negative
tenancy: Config.MaxConnsPerTenant: must not be negative
tenancy: Config.OpenTimeout: must not be negative
tenancy: Config.MaxNotFound: must not be negative`
	if err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
	for _, base := range []*pgxpool.Config{{}, {ConnConfig: &pgx.ConnConfig{}}, {ConnConfig: undialled().ConnConfig}} {
		_, err := tenancy.New(tenancy.Config{Directory: newTenants(), Base: base})
		if err == nil || err.Error() != "tenancy: Config.Base: must be made by pgxpool.ParseConfig" {
			t.Errorf("error %v", err)
		}
	}
}

// A pool's ConnString would be Base's, and lead to Base's database with Base's role.
func TestConnStringOfAPoolLeadsNowhere(t *testing.T) {
	t.Parallel()
	dir, base := databases(t, 1)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	defer l.Release()
	cfg := l.Pool().Config()
	for what, s := range map[string]string{"pool": cfg.ConnString(), "connection": cfg.ConnConfig.ConnString()} {
		conn, err := pgx.Connect(t.Context(), s)
		if err == nil {
			t.Errorf("the ConnString of a %s leads to %q", what, conn.Config().Database)
			_ = conn.Close(t.Context())
		}
	}
	name := stdlib.RegisterConnConfig(cfg.ConnConfig)
	defer stdlib.UnregisterConnConfig(name)
	registered, err := sql.Open("pgx", name)
	if err != nil {
		t.Fatal(err)
	}
	for what, db := range map[string]*sql.DB{
		"RegisterConnConfig": registered, "OpenDB": stdlib.OpenDB(*cfg.ConnConfig),
		"OpenDBFromPool": stdlib.OpenDBFromPool(l.Pool()),
	} {
		var database string
		if err := db.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&database); err != nil {
			t.Errorf("%s: %v", what, err)
		} else if database != l.Tenant().Endpoint.Database {
			t.Errorf("%s leads to %q", what, database)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
