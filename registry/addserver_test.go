package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/registry"
)

func TestAddServerKeepsWhatAnOperatorHasSet(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mine := registry.Server{Name: "s2", Host: "h", Port: 5432, MaxConns: 80}
	added, err := f.AddServer(t.Context(), mine)
	must(t, err)
	want := mine
	want.Weight, want.State = 1, registry.ServerOpen
	if diff := cmp.Diff(want, added); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	operators := registry.Server{
		Name: "s2", Host: "moved", Port: 6432, PooledHost: "p", PooledPort: 1, Region: "eu", Weight: 7, Capacity: 9,
		MaxConns: 33, State: registry.ServerDraining,
	}
	must(t, f.PutServer(t.Context(), operators))
	kept, err := f.AddServer(t.Context(), mine) // the next start
	must(t, err)
	if diff := cmp.Diff(operators, kept); diff != "" {
		t.Errorf("after the next start (-want +got):\n%s", diff)
	}
	if _, err := f.AddServer(t.Context(), registry.Server{Weight: -1}); err == nil ||
		!strings.Contains(err.Error(), "Server.Name: ") || !strings.Contains(err.Error(), "Server.Weight: ") {
		t.Errorf("a server that is wrong: %v", err)
	}
}

func TestAddServerSignsAnAddressThatWasNeverSigned(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mine := registry.Server{Name: "s1", Host: "db1.internal", Port: 5432}
	must(t, f.PutServer(t.Context(), registry.Server{
		Name: "s1", Host: "db1.internal", Port: 5432, Weight: 5, State: registry.ServerFull,
	}))
	for change, host := range map[string]string{
		"address_mac = ''": "db1.internal", "address_mac = '', host = 'attacker'": "attacker",
	} {
		f.exec(t, `UPDATE pgtenancy.servers SET `+change+` WHERE name = 's1'`)
		if s, err := f.Server(t.Context(), "s1"); err != nil || !s.Unsigned || s.Host != host {
			t.Fatalf("%s: %v, unsigned %t", change, err, s.Unsigned)
		}
		s, err := f.AddServer(t.Context(), mine)
		must(t, err)
		if s.Unsigned || s.Host != "db1.internal" || s.Weight != 5 || s.State != registry.ServerFull {
			t.Errorf("%s: %+v, want the signed address with the operator's weight and state", change, s)
		}
	}
}

func TestAddServerRaisesTheEpochsOfTenantsWhoseAddressItChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s1", Host: "db1.internal", Port: 5432}))
	f.active(t, "acme")
	before := f.lookup(t, "acme").Epoch
	for _, c := range []struct {
		change string
		raised int64
	}{{"address_mac = ''", 0}, {"address_mac = '', host = 'moved'", 1}} {
		f.exec(t, `UPDATE pgtenancy.servers SET `+c.change+` WHERE name = 's1'`)
		_, err := f.AddServer(t.Context(), registry.Server{Name: "s1", Host: "db1.internal", Port: 5432})
		must(t, err)
		if now := f.lookup(t, "acme").Epoch; now != before+c.raised {
			t.Errorf("%s: epoch %d, want %d", c.change, now, before+c.raised)
		}
	}
}

func TestAddServerRefusesASignatureOfOtherKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s1 := registry.Server{Name: "s1", Host: "db1.internal", Port: 5432}
	other := newRegistry(t, registry.Config{Pool: f.pool, Keyring: newKeyring(t, 9)}) // a process with a file of its own
	if _, err := other.AddServer(t.Context(), s1); !isUnsigned(err) {
		t.Errorf("with other keys: %v, want an UnsignedServerError", err)
	}
	if s, err := f.AddServer(t.Context(), s1); err != nil || s.Unsigned {
		t.Errorf("with the registry's keys afterwards: %v, unsigned %t", err, s.Unsigned)
	}
	f.exec(t, `UPDATE pgtenancy.servers SET host = 'attacker' WHERE name = 's1'`)
	if _, err := f.AddServer(t.Context(), s1); !isUnsigned(err) {
		t.Errorf("a row that was changed by hand: %v, want an UnsignedServerError", err)
	}
}

func TestStartsAtOnceAddOneServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(t, errors.Join(concurrently(12, func(i int) error {
		s, err := f.AddServer(t.Context(), registry.Server{Name: "s2", Host: "h", Port: 5432, Weight: i + 1})
		if err == nil && s.Unsigned {
			return fmt.Errorf("start %d: not signed", i)
		}
		return err
	})...))
	if n := f.count(t, "pgtenancy.servers WHERE name = 's2'"); n != 1 {
		t.Errorf("%d rows", n)
	}
}
