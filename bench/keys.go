package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ids names n tenants, from the most to the least busy.
func ids(n int) []tenancy.ID {
	all := make([]tenancy.ID, n)
	for i := range all {
		all[i] = tenancy.ID(fmt.Sprintf("tenant-%06d", i))
	}
	return all
}

// zipf chooses among n tenants as their traffic is: of 1,000, the first has 18 % of it, the first 100 have 77 %.
func zipf(n int, seed uint64) func() int {
	if n == 1 {
		return func() int { return 0 }
	}
	source := rand.New(rand.NewPCG(seed, uint64(n))) //nolint:gosec // traffic, and the same in every run
	z := rand.NewZipf(source, 1.1, 1, uint64(n-1))   //nolint:gosec // n is positive
	return func() int { return int(z.Uint64()) }     //nolint:gosec // less than n
}

// nobodys is a directory in which every tenant exists, each in a database that the benchmark never dials.
func nobodys() tenancy.Directory {
	return tenancy.DirectoryFunc(func(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
		return tenancy.Tenant{ID: id, State: tenancy.Active, Endpoint: tenancy.Endpoint{Database: "tenant"}}, nil
	})
}
