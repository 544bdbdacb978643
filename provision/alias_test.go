package provision_test

import (
	"errors"
	"testing"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

func TestSignUpWithAnAliasGetsAWarmDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.warmed(t, 1)
	p := f.provisioner(t, func(c *provision.Config) { c.Seed = nil })
	for i, alias := range []string{"org_2abcDEFghiJKL", "0193F0A2-7F2B-7C3D-8E4F-AABBCCDDEEFF"} {
		r, err := p.Create(t.Context(), provision.Request{
			Aliases: []string{alias, "www." + alias, alias}, Labels: map[string]string{"plan": "free"},
		})
		must(t, err)
		if i == 0 && !r.Warm {
			t.Error("the database was not warm")
		}
		id, err := f.reg.LookupAlias(t.Context(), alias)
		if err != nil || id != r.Tenant.ID {
			t.Errorf("%q stands for %q, %v; want %q", alias, id, err, r.Tenant.ID)
		}
		tenant, err := f.reg.Tenant(t.Context(), id)
		must(t, err)
		if tenant.Labels["plan"] != "free" {
			t.Errorf("labels %v", tenant.Labels)
		}
	}
	_, err := p.Create(t.Context(), provision.Request{Aliases: []string{"new", "www.org_2abcDEFghiJKL"}})
	if !errors.Is(err, registry.ErrAliasTaken) {
		t.Errorf("an alias of another tenant: %v", err)
	}
	if _, err := f.reg.LookupAlias(t.Context(), "new"); err == nil {
		t.Error("a refused sign-up left an alias")
	}
}
