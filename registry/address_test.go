package registry_test

import (
	"errors"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func isUnsigned(err error) bool {
	var unsigned *registry.UnsignedServerError
	return errors.As(err, &unsigned) && unsigned.Server != "" && unsigned.HTTPStatus() == 503
}

// An attacker with the right to write to the registry, but without a key, changes a server's address, copies another
// server's row or signature, or moves a tenant to a server that it adds. No caller gets the address, nor a password
// with it.
func TestAttackerWhoWritesAddressesToTheRegistryIsNotBelieved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	must(t, f.PutServer(t.Context(), registry.Server{
		Name: "s2", Host: "db2.internal", Port: 5433,
		State: registry.ServerFull,
	}))
	for _, attack := range []string{
		`UPDATE pgtenancy.servers SET port = 8155 WHERE name = 's1'`,
		`UPDATE pgtenancy.servers SET host = 'evil.example' WHERE name = 's1'`,
		`UPDATE pgtenancy.servers SET pooled_host = 'evil.example', pooled_port = 1 WHERE name = 's1'`,
		`UPDATE pgtenancy.servers SET host = '"|db1.internal' WHERE name = 's1'`,
		`UPDATE pgtenancy.servers SET address_mac = '' WHERE name = 's1'`,
		`UPDATE pgtenancy.servers SET address_mac = '1:' WHERE name = 's1'`,
		`UPDATE pgtenancy.servers SET address_mac = '9' || address_mac WHERE name = 's1'`,
		`UPDATE pgtenancy.servers a SET address_mac = b.address_mac FROM pgtenancy.servers b WHERE a.name = 's1' AND
			b.name = 's2'`,
		`UPDATE pgtenancy.servers a SET host = b.host, port = b.port, address_mac = b.address_mac FROM pgtenancy.servers b
			WHERE a.name = 's1' AND b.name = 's2'`,
		`INSERT INTO pgtenancy.servers (name, host, port, pooled_host, pooled_port, region, weight, capacity, max_conns,
			state)
			VALUES ('evil', 'evil.example', 1, '', 0, '', 1, 0, 0, 'open');
		UPDATE pgtenancy.tenants SET server = 'evil'`,
	} {
		_, err := f.pool.Exec(t.Context(), attack)
		must(t, err)
		if got, err := f.Lookup(t.Context(), "acme"); !isUnsigned(err) {
			t.Errorf("%s: tenant is at %q, %v", attack, got.Endpoint.Host, err)
		}
		if got, err := f.Tenant(t.Context(), "acme"); !isUnsigned(err) {
			t.Errorf("%s: tenant %v, %v", attack, got, err)
		}
		list, err := f.Tenants(t.Context(), "", 0)
		if !isUnsigned(err) || len(list) != 1 || list[0].Endpoint.Host != "" || !list[0].Endpoint.Password.IsZero() ||
			!list[0].Server.Unsigned {
			t.Errorf("%s: listed %v, %v", attack, list, err)
		}
		bare, err := f.TenantWithoutSecrets(t.Context(), "acme")
		must(t, err)
		if !isUnsigned(bare.Server.Verify()) || bare.Endpoint.Host != "" {
			t.Errorf("%s: without secrets %+v", attack, bare.Server)
		}
		server, err := f.Server(t.Context(), bare.Server.Name)
		must(t, err)
		if !server.Unsigned {
			t.Errorf("%s: %+v is taken for signed", attack, server)
		}
		// The operator's own word, as at each start, mends it.
		f.exec(t, `UPDATE pgtenancy.tenants SET server = 's1'`)
		f.exec(t, `DELETE FROM pgtenancy.servers WHERE name = 'evil'`)
		must(t, f.PutServer(t.Context(), registry.Server{Name: "s1", Host: "db1.internal", Port: 5432}))
		if got := f.lookup(t, "acme").Endpoint; got.Host != "db1.internal" || got.Port != 5432 || got.Pooled ||
			got.Password.IsZero() {
			t.Errorf("after %s and PutServer: %+v", attack, got)
		}
	}
}

func TestAttackerWhoWritesAnAddressToTheRegistryGetsNoNewTenant(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `UPDATE pgtenancy.servers SET host = 'evil.example'`)
	res := reservation(t, "acme")
	if _, err := f.Reserve(t.Context(), res); !isUnsigned(err) {
		t.Errorf("on a server that was written by hand: %v", err)
	}
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s2", Host: "db2.internal", Port: 5433}))
	c, err := f.Reserve(t.Context(), res)
	must(t, err)
	if c.Tenant.Server.Name != "s2" || c.Tenant.Endpoint.Host != "db2.internal" || c.Tenant.Server.Unsigned {
		t.Errorf("placed on %+v", c.Tenant.Server)
	}
}

// The address of every kind of claim is checked: a worker under a claim connects as the administrator.
func TestAttackerWhoWritesAnAddressToTheRegistryIsSeenInEachClaim(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "acme")
	f.expire(t, c.Tenant.ID)
	_, err := f.PlanWarm(t.Context(), catalog.Warm{
		ID: "warm", Database: "tenant_warm", Role: "tenant_warm", Server: "s1", SchemaHash: "hash",
		Most: 1, Owner: "o", TTL: 1,
		Password: tenancy.NewSecret("pw"),
	})
	must(t, err)
	f.exec(t, `UPDATE pgtenancy.servers SET port = 8155`)
	claims, err := f.ClaimAbandoned(t.Context(), "owner", 1, 10)
	must(t, err)
	warm, err := f.ClaimWarm(t.Context(), catalog.WarmWork{
		Owner: "o", TTL: 1, SchemaHash: "hash", Attempts: 3,
		Idle: 1e12, Limit: 9,
	})
	must(t, err)
	if len(claims) != 1 || len(warm) != 1 {
		t.Fatalf("claimed %v and %v", claims, warm)
	}
	for _, c := range append(claims, warm...) {
		if !c.Tenant.Server.Unsigned || c.Tenant.Endpoint.Host != "" {
			t.Errorf("%v is at %+v", c, c.Tenant.Server)
		}
	}
}

func TestAddressesAreSignedAnewWithTheIndexKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s2", Host: "db2.internal", Port: 5433}))
	f.exec(t, `UPDATE pgtenancy.servers SET port = 8155 WHERE name = 's2'`)
	both := f.ringed(t, []int16{2, 1}, []int16{100})
	if _, err := both.Lookup(t.Context(), "acme"); err != nil {
		t.Errorf("signed under the key before: %v", err)
	}
	result, err := both.Rekey(t.Context(), registry.RekeyConfig{})
	must(t, err)
	if result.Left != 1 || result.Broken != 1 { // the unsigned address, once
		t.Errorf("%+v", result)
	}
	only := f.ringed(t, []int16{2}, []int16{100})
	if _, err := only.Lookup(t.Context(), "acme"); err != nil {
		t.Errorf("signed anew: %v", err)
	}
	if s, err := only.Server(t.Context(), "s2"); err != nil || !s.Unsigned {
		t.Errorf("an attacker's address was signed: %+v, %v", s, err)
	}
}
