package provision_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Every tenant's password is rotated while two routers are at work, one of which does not follow the
// registry, both on connections that serve one request.
func TestAllPasswordsAreRotatedAndNoRequestFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	n, rounds := pgtest.Size(3, 50), pgtest.Size(2, 5)
	var ids []tenancy.ID
	for i := range n {
		ids = append(ids, f.create(t, p, fmt.Sprintf("t%02d", i)).Tenant.ID)
	}
	before := f.passwords(t, ids)
	follower, deaf := f.restless(t), f.restless(t)
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- f.reg.Follow(ctx, follower) }()

	var good, failed atomic.Int64
	var workers sync.WaitGroup
	stop := make(chan struct{})
	for w := range pgtest.Size(4, 8) {
		r := []*tenancy.Resolver{follower, deaf}[w%2]
		workers.Go(func() {
			for i := w; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := write(t.Context(), r, ids[i%n]); err != nil {
					failed.Add(1)
					t.Errorf("write: %v", err)
				}
				good.Add(1)
			}
		})
	}
	var took time.Duration
	for range rounds {
		done, start := good.Load(), time.Now()
		result, err := p.RotateAllPasswords(t.Context(), provision.RotateAllConfig{Batch: 2})
		took += time.Since(start)
		if err != nil || result.Rotated != n || result.Skipped+result.Failed+len(result.Errors) != 0 ||
			result.Through != ids[n-1] {
			t.Errorf("rotated: %+v, %v", result, err)
		}
		eventually(t, "at work", func() bool { return good.Load() > done+int64(4*n) })
	}
	close(stop)
	pgtest.Wait(t, "every worker ends", workers.Wait)
	cancel()
	must(t, pgtest.Receive(t, "Follow ends", followed))
	after := f.passwords(t, ids)
	for i := range ids {
		if before[i] == after[i] {
			t.Errorf("tenant %s has the password that it had", ids[i])
		}
	}
	pgtest.Figure(t, "rotation", "%d tenants, %d times, %v each: %d of %d requests failed",
		n, rounds, (took / time.Duration(n*rounds)).Round(time.Millisecond), failed.Load(), good.Load())
}

// restless is a resolver that makes a new connection for each request.
func (f *fixture) restless(t *testing.T) *tenancy.Resolver {
	t.Helper()
	base, err := pgxpool.ParseConfig("")
	must(t, err)
	base.ConnConfig = f.admin.Copy()
	base.AfterRelease = func(*pgx.Conn) bool { return false }
	r, err := tenancy.New(tenancy.Config{Directory: f.reg, Base: base, Fence: true, TTL: -1, MaxConnsPerTenant: 2})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close(context.WithoutCancel(t.Context()))) })
	return r
}

func (f *fixture) passwords(t *testing.T, ids []tenancy.ID) (passwords []tenancy.Secret) {
	t.Helper()
	for _, id := range ids {
		tenant, err := f.reg.Lookup(t.Context(), id)
		must(t, err)
		passwords = append(passwords, tenant.Endpoint.Password)
	}
	return passwords
}

func TestRotationGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	ids := []tenancy.ID{"a", "b", "c", "d"}
	for _, id := range ids {
		f.create(t, p, string(id))
	}
	// What is not provably the tenant's is left as it is; what is being deleted has no use for a password.
	must(t, execute(t.Context(), f.admin, "COMMENT ON ROLE "+pgx.Identifier{f.prefix + "c"}.Sanitize()+" IS NULL"))
	_, err := catalog.Of(f.reg).BeginDelete(t.Context(), "d", "somebody", time.Minute)
	must(t, err)
	before := f.passwords(t, ids)

	ctx, stop := context.WithCancel(t.Context())
	first, err := p.RotateAllPasswords(ctx, provision.RotateAllConfig{
		Batch:    1,
		Progress: func(provision.RotateAllProgress) { stop() },
	})
	if !errors.Is(err, context.Canceled) || first.Through != "a" || first.Rotated != 1 || first.Failed != 0 {
		t.Errorf("stopped: %+v, %v", first, err)
	}
	// Another process died between its two commits: the registry has a password that the role of b does not have.
	must(t, catalog.Of(f.reg).SetPassword(t.Context(), "b", tenancy.NewSecret("never committed")))
	middle := f.passwords(t, ids)
	rest, err := p.RotateAllPasswords(t.Context(), provision.RotateAllConfig{After: first.Through, Batch: 1})
	if err != nil || rest.Through != "d" || rest.Rotated != 1 || rest.Skipped != 1 || rest.Failed != 1 ||
		!errors.Is(rest.Errors["c"], provision.ErrNotOurs) {
		t.Errorf("the rest: %+v, %v", rest, err)
	}
	after := f.passwords(t, ids)
	for i, id := range ids {
		changed := [2]bool{before[i] != middle[i], middle[i] != after[i]}
		if want := [2]bool{id == "a" || id == "b", id == "b"}; changed != want {
			t.Errorf("password of %s changed before and after the stop: %v, want %v", id, changed, want)
		}
	}
	for _, id := range []tenancy.ID{"a", "b"} {
		tenant, err := f.reg.Lookup(t.Context(), id)
		must(t, err)
		conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
		must(t, err)
		must(t, conn.Close(t.Context()))
	}
	if _, err := p.RotateAllPasswords(t.Context(), provision.RotateAllConfig{Workers: -1, Batch: -1}); err == nil {
		t.Error("a negative number was taken")
	}
}
