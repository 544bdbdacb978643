package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
)

// TestRefusalTakesOneKeyDerivationAndTheSameTime makes attempts on five paths that end in a refusal, one at a time and
// in a random order within each round, and asks whether the time that SignIn takes tells of which path one was. The
// attacker is in the process, and so sees the time without the network's noise. Against each path with an account
// stands the one without: the area under the ROC curve (AUC) of the best threshold is 0.5 where the times tell nothing.
//
// The key derivation is cheaper than in production, and MinRefusal is shorter by as much: four times what nine of ten
// refusals take without it. Without it the same classifier is to see the difference, or it could not see anything.
func TestRefusalTakesOneKeyDerivationAndTheSameTime(t *testing.T) {
	h := newHouse(t, func(c *accounts.Config) { c.MinRefusal, c.Throttle.Account.Free = -1, 1<<30 })
	paths := h.refusals(t)
	rounds := pgtest.Size(4, 2000)
	h.refuse(t, paths, 6) // opens the pools, and the breaker
	bare := h.refuse(t, paths, rounds)
	floor := min(max(4*quantile(slices.Concat(bare...), 0.9), 20*time.Millisecond), 150*time.Millisecond)
	h.configure(t, func(c *accounts.Config) { c.MinRefusal = floor })
	even := h.refuse(t, paths, rounds)

	text, farthest, worst, seen := "", 0.0, 0.5, 0.5
	for i, p := range paths[1:] {
		without, with := auc(bare[0], bare[i+1]), auc(even[0], even[i+1])
		unknown, known := quantile(even[0], 0.5), quantile(even[i+1], 0.5)
		apart := math.Abs(float64(known-unknown)) / float64(unknown)
		text += fmt.Sprintf("; %s: AUC %.3f, medians %.2f %% apart (AUC %.3f without MinRefusal)", p.name, with, 100*apart,
			without)
		farthest, worst, seen = max(farthest, apart), farther(worst, with), farther(seen, without)
	}
	defer pgtest.Figure(t, "S4",
		"%d attempts on each of 5 paths, one key derivation each, MinRefusal %v, against an unknown e-mail%s",
		rounds, floor, text)
	if !pgtest.Full() {
		return
	}
	if worst < 0.48 || worst > 0.52 || farthest > 0.02 {
		t.Errorf("the time tells: AUC %.3f, medians up to %.1f %% apart", worst, 100*farthest)
	}
	if seen > 0.45 && seen < 0.55 {
		t.Errorf("AUC %.3f without MinRefusal: the classifier sees nothing at all", seen)
	}
}

// refusal is a path that ends in one.
type refusal struct {
	name string
	accounts.SignIn
}

// refusals makes an account for each path. The first has none.
func (h *house) refusals(t *testing.T) []refusal {
	t.Helper()
	h.signUp(t, "wrong@example.org")
	suspended := h.signUp(t, "suspended@example.org")
	if err := catalog.Of(h.Registry).Suspend(t.Context(), suspended.Tenant.ID); err != nil {
		t.Fatal(err)
	}
	none := h.signUp(t, "none@example.org")
	h.inTenant(t, none, func(ctx context.Context, db *pgxpool.Pool) error {
		_, err := db.Exec(ctx, `UPDATE admins SET password_hash = ''`)
		return err
	})
	// Nor in the registry: where a busy database is slow to say so, the copy would be checked first.
	_, err := h.Catalog.Exec(t.Context(), `UPDATE pgtenancy.admins SET password_hash = ''
		WHERE tenant_id = $1`, none.Tenant.ID)
	if err != nil {
		t.Fatal(err)
	}
	down := h.signUp(t, "down@example.org")
	err = h.Registry.PutServer(t.Context(),
		registry.Server{Name: "down", Host: "127.0.0.1", Port: 1, State: registry.ServerFull})
	if err != nil {
		t.Fatal(err)
	}
	const move = `UPDATE pgtenancy.tenants SET server = $2 WHERE id = $1`
	if _, err := h.Catalog.Exec(t.Context(), move, down.Tenant.ID, "down"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // so that it can be dropped
		if _, err := h.Catalog.Exec(context.WithoutCancel(t.Context()), move, down.Tenant.ID, "main"); err != nil {
			t.Error(err)
		}
	})
	h.Resolver.Invalidate(suspended.Tenant.ID, 0)
	h.Resolver.Invalidate(down.Tenant.ID, 0)
	return []refusal{
		{"unknown e-mail", accounts.SignIn{Email: "nobody@example.org", Password: password}},
		{"wrong password", wrong("wrong@example.org")},
		{"suspended tenant", wrong("suspended@example.org")},
		{"no password", accounts.SignIn{Email: "none@example.org", Password: password}},
		{"tenant's server down", wrong("down@example.org")},
	}
}

// refuse makes attempts on each path and returns how long each of them took.
func (h *house) refuse(t *testing.T, paths []refusal, rounds int) [][]time.Duration {
	t.Helper()
	took := make([][]time.Duration, len(paths))
	for range rounds {
		for _, i := range rand.Perm(len(paths)) {
			runs, start := h.Hasher.Runs(), time.Now()
			_, err := h.SignIn(t.Context(), paths[i].SignIn)
			took[i] = append(took[i], time.Since(start))
			if runs = h.Hasher.Runs() - runs; !errors.Is(err, accounts.ErrBadCredentials) || runs != 1 {
				t.Fatalf("%s: %v after %d key derivations, want ErrBadCredentials after one", paths[i].name, err, runs)
			}
		}
	}
	return took
}

func quantile(d []time.Duration, q float64) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[int(q*float64(len(d)-1))]
}

// auc is the probability that one of b took longer than one of a, from the Mann-Whitney U: what a threshold between the
// two makes at best of telling them apart.
func auc(a, b []time.Duration) float64 {
	a = slices.Sorted(slices.Values(a))
	u := 0.0
	for _, d := range b {
		less, _ := slices.BinarySearch(a, d)
		notMore, _ := slices.BinarySearch(a, d+1)
		u += float64(less) + float64(notMore-less)/2
	}
	return u / float64(len(a)) / float64(len(b))
}

func farther(a, b float64) float64 {
	if math.Abs(b-0.5) > math.Abs(a-0.5) {
		return b
	}
	return a
}
