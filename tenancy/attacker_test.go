package tenancy_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// A directory of your own may be wrong about the address, or its table an attacker's. What listens there gets no
// password by asking for it, neither the tenant's nor Base's, unless Base says that a server may ask.
func TestAttackerWhoseServerAsksForThePasswordGetsNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base string
		want []string
	}{
		{"host=127.0.0.1 port=1 user=app password=base sslmode=prefer", nil},
		{"host=db.internal user=app password=base sslmode=disable", nil},
		{"host=127.0.0.1 port=1 user=app password=base sslmode=disable require_auth=password", []string{"base", "tenants"}},
	} {
		evil := pgtest.NewImpostor(t, nil)
		dir := newTenants()
		at := tenancy.Endpoint{Host: "127.0.0.1", Port: evil.Port, Database: "d"}
		dir.put(tenancy.Tenant{ID: "shares", State: tenancy.Active, Endpoint: at})
		at.User, at.Password = "own", tenancy.NewSecret("tenants")
		dir.put(tenancy.Tenant{ID: "own", State: tenancy.Active, Endpoint: at})
		base, err := pgxpool.ParseConfig(c.base)
		if err != nil {
			t.Fatal(err)
		}
		r := resolver(t, tenancy.Config{Directory: dir, Base: base})
		for _, id := range []tenancy.ID{"shares", "own"} {
			l, err := r.Acquire(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Pool().Ping(t.Context()); err == nil {
				t.Error("the impostor let a query in")
			}
			l.Release()
		}
		closeNow(t, r)
		got := evil.Got()
		slices.Sort(got)
		if evil.Conns() == 0 || !slices.Equal(slices.Compact(got), c.want) {
			t.Errorf("%s: %d connections, passwords %q", c.base, evil.Conns(), got)
		}
	}
}
