package registry_test

import (
	"testing"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestTenantsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"c", "a", "b"} {
		f.reserve(t, id)
	}
	var got []tenancy.ID
	var after tenancy.ID
	for {
		page, err := f.Tenants(t.Context(), after, 2)
		must(t, err)
		if len(page) == 0 {
			break
		}
		for _, tenant := range page {
			got = append(got, tenant.ID)
			after = tenant.ID
		}
	}
	if len(got) != 3 || got[0] != "a" || got[1] != "b" || got[2] != "c" {
		t.Errorf("listed %v", got)
	}
}
