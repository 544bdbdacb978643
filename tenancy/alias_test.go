package tenancy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// names is an AliasDirectory in memory that counts its look-ups.
type names struct {
	*tenants

	mu     sync.Mutex
	ids    map[string]tenancy.ID
	counts map[string]int
	before func(ctx context.Context) error // called by LookupAlias, without the lock
}

func newNames(pairs ...string) *names {
	n := &names{tenants: newTenants("acme", "globex"), ids: map[string]tenancy.ID{}, counts: map[string]int{}}
	for i := 0; i < len(pairs); i += 2 {
		n.name(pairs[i], tenancy.ID(pairs[i+1]))
	}
	return n
}

func (n *names) name(alias string, id tenancy.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids[alias] = id
}

func (n *names) hook(f func(context.Context) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before = f
}

func (n *names) LookupAlias(ctx context.Context, alias string) (tenancy.ID, error) {
	n.mu.Lock()
	n.counts[strings.Clone(alias)]++
	id, ok := n.ids[alias]
	before := n.before
	n.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return "", err
		}
	}
	if !ok {
		return "", tenancy.ErrNotFound
	}
	return id, nil
}

func (n *names) count(alias string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counts[alias]
}

// resolves fails the test unless alias stands for want; empty: for no tenant.
func resolves(t *testing.T, r *tenancy.Resolver, alias string, want tenancy.ID) {
	t.Helper()
	id, err := r.ResolveAlias(t.Context(), alias)
	if id != want || want != "" && err != nil || want == "" && !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("%q stands for %q, %v; want %q", alias, id, err, want)
	}
}

func TestAliasIsAskedForOnceInATTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newNames("org_2abcDEF", "acme")
		r := resolver(t, tenancy.Config{Directory: dir, TTL: time.Minute})
		defer closeNow(t, r)
		for range 3 {
			resolves(t, r, "org_2abcDEF", "acme")
			resolves(t, r, "ORG_2ABCDEF", "")
		}
		if dir.count("org_2abcDEF") != 1 || dir.count("ORG_2ABCDEF") != 1 {
			t.Errorf("%d and %d look-ups, want one of each", dir.count("org_2abcDEF"), dir.count("ORG_2ABCDEF"))
		}
		time.Sleep(time.Minute)
		resolves(t, r, "org_2abcDEF", "acme")
		resolves(t, r, "ORG_2ABCDEF", "")
		if dir.count("org_2abcDEF") != 2 || dir.count("ORG_2ABCDEF") != 2 {
			t.Error("an answer is out of date")
		}
		for _, alias := range []string{"", strings.Repeat("a", tenancy.MaxAliasLength+1)} {
			resolves(t, r, alias, "")
			if dir.count(alias) != 0 {
				t.Errorf("%d bytes were asked for", len(alias))
			}
		}
	})
}

func TestForgottenAliasIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newNames("a.example", "acme")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		resolves(t, r, "a.example", "acme")
		resolves(t, r, "g.example", "")
		dir.name("a.example", "globex")
		dir.name("g.example", "globex")
		r.ForgetAlias("a.example")
		r.ForgetAlias("g.example")
		resolves(t, r, "a.example", "globex")
		resolves(t, r, "g.example", "globex")
		dir.name("a.example", "acme")
		r.ForgetAlias("")
		resolves(t, r, "a.example", "acme")
	})
}

func TestAliasThatChangesDuringItsLookUpIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newNames("a.example", "acme")
		gate := make(chan struct{})
		dir.hook(func(context.Context) error { <-gate; return nil })
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		var wg sync.WaitGroup
		wg.Go(func() { resolves(t, r, "a.example", "acme") }) // it began before the change
		synctest.Wait()
		dir.name("a.example", "globex")
		r.ForgetAlias("a.example")
		for range 10 {
			wg.Go(func() { resolves(t, r, "a.example", "globex") })
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		resolves(t, r, "a.example", "globex")
		if dir.count("a.example") != 2 {
			t.Errorf("%d look-ups, want 2", dir.count("a.example"))
		}
	})
}

func TestAliasIsServedWhileItsDirectoryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newNames("a.example", "acme")
		r := resolver(t, tenancy.Config{Directory: dir, TTL: time.Minute, StaleGrace: time.Minute, OpenTimeout: time.Second})
		defer closeNow(t, r)
		resolves(t, r, "a.example", "acme")
		down := errors.New("down")
		dir.hook(func(context.Context) error { return down })
		time.Sleep(time.Minute)
		resolves(t, r, "a.example", "acme")
		if _, err := r.ResolveAlias(t.Context(), "b.example"); !errors.Is(err, down) {
			t.Errorf("an alias that was never known: %v", err)
		}
		dir.hook(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if _, err := r.ResolveAlias(t.Context(), "b.example"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a directory that hangs: %v", err)
		}
		dir.hook(func(context.Context) error { panic("boom") })
		if _, err := r.ResolveAlias(t.Context(), "b.example"); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("a directory that panics: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := r.ResolveAlias(t.Context(), "a.example"); err == nil {
			t.Error("served after the grace")
		}
	})
}

func TestFloodOfUnknownAliasesForgetsNoKnownOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newNames("a.example", "acme")
		r := resolver(t, tenancy.Config{Directory: dir, MaxAliases: 2, MaxNotFound: 2})
		defer closeNow(t, r)
		resolves(t, r, "a.example", "acme")
		for _, c := range "abcdefgh" {
			resolves(t, r, string(c), "")
		}
		resolves(t, r, "a.example", "acme")
		if dir.count("a.example") != 1 {
			t.Errorf("%d look-ups of the known one", dir.count("a.example"))
		}
	})
}

func TestAliasIsACopyOfItsCallersString(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newNames("a.example", "acme", "b.example", "globex")
		r := resolver(t, tenancy.Config{Directory: dir})
		defer closeNow(t, r)
		buffer := []byte("a.example")
		resolves(t, r, unsafe.String(&buffer[0], len(buffer)), "acme")
		copy(buffer, "b.example")
		resolves(t, r, "a.example", "acme")
		resolves(t, r, unsafe.String(&buffer[0], len(buffer)), "globex")
	})
}

func TestResolverWithoutAliasesSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, tenancy.Config{Directory: newTenants("acme")})
		if _, err := r.ResolveAlias(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "Config.Aliases") {
			t.Errorf("%v", err)
		}
		closeNow(t, r)
		r = resolver(t, tenancy.Config{Directory: newNames("a", "acme")})
		closeNow(t, r)
		if _, err := r.ResolveAlias(t.Context(), "a"); !errors.Is(err, tenancy.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
