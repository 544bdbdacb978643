package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
)

func TestPutServerReplacesAndNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	want := registry.Server{
		Name: "s1", Host: "h", Port: 1, PooledHost: "p", PooledPort: 65535, Region: "eu", Weight: 3, Capacity: 5,
		MaxConns: 80, State: registry.ServerDraining,
	}
	must(t, f.PutServer(t.Context(), want))
	got, err := f.Server(t.Context(), "s1")
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Server (-want +got):\n%s", diff)
	}
	err = f.PutServer(t.Context(), registry.Server{
		PooledHost: "p", Weight: -1, Capacity: -1, MaxConns: -1, State: "odd",
	})
	for _, field := range []string{"Name", "Host", "Port", "PooledPort", "Weight", "Capacity", "MaxConns", "State"} {
		if err == nil || !strings.Contains(err.Error(), "registry: Server."+field+": ") {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
	if _, err := f.Server(t.Context(), "s9"); !errors.Is(err, registry.ErrServerNotFound) {
		t.Errorf("unknown server: %v, want ErrServerNotFound", err)
	}
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s0", Host: "h0", Port: 5432}))
	servers, err := f.Servers(t.Context())
	must(t, err)
	if len(servers) != 2 || servers[0].Name != "s0" || servers[1].Name != "s1" {
		t.Errorf("Servers: %v", servers)
	}
}

func TestNewTenantsAreSpreadByWeightAndNeverOverfillAServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, s := range []registry.Server{
		{Name: "s1", Host: "h", Port: 5432, Weight: 1, Capacity: 100},
		{Name: "s2", Host: "h", Port: 5432, Weight: 3},
		{Name: "s3", Host: "h", Port: 5432, Capacity: 4},
		{Name: "s4", Host: "h", Port: 5432, State: registry.ServerFull},
	} {
		must(t, f.PutServer(t.Context(), s))
	}
	const n = 24
	reservations := make([]catalog.Reservation, n)
	for i := range reservations {
		reservations[i] = reservation(t, name("t%d", i))
	}
	must(t, errors.Join(concurrently(n, func(i int) error {
		_, err := f.Reserve(t.Context(), reservations[i])
		return err
	})...))
	servers, err := f.Servers(t.Context())
	must(t, err)
	got := make(map[string]int)
	for _, s := range servers {
		got[s.Name] = s.Tenants
		if rows := f.count(t, "pgtenancy.tenants WHERE server = $1", s.Name); rows != s.Tenants {
			t.Errorf("%s: %d rows, %d counted", s.Name, rows, s.Tenants)
		}
	}
	if diff := cmp.Diff(map[string]int{"s1": 5, "s2": 15, "s3": 4, "s4": 0}, got); diff != "" {
		t.Errorf("tenants (-want +got):\n%s", diff)
	}
}

func TestTheCallersPlacementChoosesAmongOpenServersWithRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s2", Host: "h", Port: 5432, State: registry.ServerDraining}))
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s3", Host: "h", Port: 5432, Region: "eu"}))
	res := reservation(t, "acme")
	res.Place = func(servers []registry.Server) (string, error) {
		if len(servers) != 2 {
			t.Errorf("offered %d servers, want 2", len(servers))
		}
		return "s3", nil
	}
	c, err := f.Reserve(t.Context(), res)
	must(t, err)
	if c.Tenant.Server.Name != "s3" {
		t.Errorf("placed on %q", c.Tenant.Server.Name)
	}
	own := errors.New("no server in that region")
	for _, place := range []registry.Placement{
		func([]registry.Server) (string, error) { return "", own },
		func([]registry.Server) (string, error) { return "s2", nil },
	} {
		res := reservation(t, "other")
		res.Place = place
		_, err := f.Reserve(t.Context(), res)
		if err == nil || !errors.Is(err, own) && !strings.Contains(err.Error(), "not offered") {
			t.Errorf("Reserve: %v", err)
		}
	}
}
