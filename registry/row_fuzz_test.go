package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// FuzzRow makes pools of arbitrary contents of a tenant's row in the registry. A pool goes where the row says,
// as whom it says, and takes nothing else from it; a row that cannot be followed so is refused.
func FuzzRow(f *testing.F) {
	f.Add("db.internal", uint16(5432), "t_acme", "r_acme", "secret")
	f.Add("/var/run/postgresql", uint16(0), "t", "", "")
	for _, s := range []string{
		"", " ", "a,b", "[::1]", "::1", "10.0.0.1:5433", "x sslmode=disable", "x?sslmode=disable",
		"user:pass@x/y", "@abstract",
		"a'b", `a"b`, `a\b`, "a\x00user=postgres", "a\nb", "-c search_path=evil", "host=evil dbname=evil", "ü", "\xff",
		"postgres://evil/evil", "service=evil", "passfile=/etc/passwd",
	} {
		f.Add(s, uint16(1), "t", "r", "p")
		f.Add("h", uint16(1), s, "r", "p")
		f.Add("h", uint16(1), "t", s, "p")
		f.Add("h", uint16(1), "t", "r", s)
	}
	base, err := pgxpool.ParseConfig("host=base.internal port=6000 user=base password=base dbname=base sslmode=disable " +
		"application_name=app")
	if err != nil {
		f.Fatal(err)
	}
	var row tenancy.Tenant
	r, err := tenancy.New(tenancy.Config{Base: base, Directory: tenancy.DirectoryFunc(
		func(context.Context, tenancy.ID) (tenancy.Tenant, error) { return row, nil },
	)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, host string, port uint16, database, user, password string) {
		row = tenancy.Tenant{ID: "acme", State: tenancy.Active, Epoch: row.Epoch + 1, Endpoint: tenancy.Endpoint{
			Host: host, Port: port, Database: database, User: user, Password: tenancy.NewSecret(password),
		}}
		r.Invalidate("acme", row.Epoch)
		lease, err := r.Acquire(t.Context(), "acme")
		if err != nil {
			return
		}
		defer lease.Release()
		got := lease.Pool().Config().ConnConfig
		or := func(s, other string) string {
			if s == "" {
				return other
			}
			return s
		}
		if database == "" || got.Database != database || got.User != or(user, "base") ||
			got.Host != or(host, "base.internal") ||
			len(got.Fallbacks) != 0 || port != 0 && got.Port != port {
			t.Errorf("%q:%d %q %q: goes to %q:%d %q %q, or %d others", host, port, database, user,
				got.Host, got.Port, got.Database, got.User, len(got.Fallbacks))
		}
		if got.Password != or(password, "base") {
			t.Error("another password than the row's")
		}
		if len(got.RuntimeParams) != 1 || got.RuntimeParams["application_name"] != "app" {
			t.Errorf("parameters %q", got.RuntimeParams)
		}
	})
}
