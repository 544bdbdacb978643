package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// tenantWithRole is a tenant "t0" whose role has the password "old", and the name of the role, quoted.
func tenantWithRole(t *testing.T) (*tenants, *pgxpool.Config, *pgx.Conn, string) {
	t.Helper()
	dir, base := databases(t, 1)
	admin := connect(t)
	record := dir.records["t0"]
	record.Endpoint.User, record.Endpoint.Password = record.Endpoint.Database+"_login", tenancy.NewSecret("old")
	dir.put(record)
	role := pgx.Identifier{record.Endpoint.User}.Sanitize()
	if _, err := admin.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'old'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	return dir, base, admin, role
}

func setPassword(t testing.TB, admin *pgx.Conn, role, password string) {
	t.Helper()
	if _, err := admin.Exec(t.Context(), "ALTER ROLE "+role+" PASSWORD '"+password+"'"); err != nil {
		t.Error(err)
	}
}

// rotate puts the password "new" into the directory. No resolver hears of it.
func (d *tenants) rotate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	record := d.records["t0"]
	record.Epoch++
	record.Endpoint.Password = tenancy.NewSecret("new")
	d.records["t0"] = record
}

func TestPasswordThatWasReplacedFailsNoQuery(t *testing.T) {
	t.Parallel()
	dir, base, admin, role := tenantWithRole(t)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, TTL: -1})
	defer closeNow(t, r)
	l := acquire(t, r, "t0")
	dir.rotate()
	setPassword(t, admin, role, "new")
	if _, err := l.Pool().Exec(t.Context(), "select 1"); err != nil { // on its first connection
		t.Error(err)
	}
	l.Release()
	l = acquire(t, r, "t0")
	defer l.Release()
	if got := l.Tenant().Endpoint.Password.Reveal(); got != "new" {
		t.Errorf("the next lease is of the pool with the password %q", got)
	}
}

// A rotation changes the directory first, so that its password is early for a moment.
func TestPasswordThatIsNotGoodYetFailsNoQuery(t *testing.T) {
	t.Parallel()
	dir, base, admin, role := tenantWithRole(t)
	dir.rotate()
	var asked atomic.Int64
	dir.hook(func(context.Context, tenancy.ID) error {
		if asked.Add(1) == 2 { // the first is the Acquire's, the second follows the refusal
			setPassword(t, admin, role, "new")
		}
		return nil
	})
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, TTL: -1})
	defer closeNow(t, r)
	if err := query(t, r, "t0"); err != nil {
		t.Error(err)
	}
}

func TestWrongPasswordIsTriedAFewTimesAndKeepsItsSQLSTATE(t *testing.T) {
	t.Parallel()
	dir, base, admin, role := tenantWithRole(t)
	setPassword(t, admin, role, "changed by hand")
	r := resolver(t, tenancy.Config{Directory: dir, Base: base, TTL: -1})
	defer closeNow(t, r)
	var tries []int
	l := acquire(t, r, "t0")
	defer l.Release()
	for range 3 {
		before := dir.asked("t0")
		_, err := l.Pool().Exec(t.Context(), "select 1")
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "28P01" {
			t.Errorf("error %v", err)
		}
		tries = append(tries, dir.asked("t0")-before)
	}
	if tries[0] != 3 || tries[1] != 0 || tries[2] != 0 {
		t.Errorf("look-ups for each query: %v", tries)
	}
	if l.Pool().Config().ConnConfig.Password != "old" {
		t.Error("the pool's own configuration was changed")
	}
	setPassword(t, admin, role, "old")
	if _, err := l.Pool().Exec(t.Context(), "select 1"); err != nil {
		t.Error(err)
	}
}

// The repetitions of an address are for refused passwords alone.
func TestAddressThatDoesNotAnswerIsLookedUpAndDialledOnce(t *testing.T) {
	t.Parallel()
	base, err := pgxpool.ParseConfig("host=db.internal user=app password=pw sslmode=prefer") // two targets
	if err != nil {
		t.Fatal(err)
	}
	var lookups, dials atomic.Int64
	base.ConnConfig.LookupFunc = func(context.Context, string) ([]string, error) {
		lookups.Add(1)
		return []string{"192.0.2.7", "192.0.2.8"}, nil
	}
	base.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		return nil, errNoDial
	}
	dir := newTenants("t0")
	record := dir.records["t0"]
	record.Endpoint.Password = tenancy.NewSecret("pw")
	dir.put(record)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	wantErr(t, query(t, r, "t0"), errNoDial)
	if lookups.Load() != 1 || dials.Load() != 4 { // two addresses, with TLS and without
		t.Errorf("%d look-ups, %d dials", lookups.Load(), dials.Load())
	}
}

// Guards: a connect that was refused for its password waited for a directory that hangs until OpenTimeout, three times,
// and kept its place among the dials. As many of them as there are places had the server's other tenants get
// ErrAtCapacity.
func TestDirectoryThatHangsKeepsNoOtherTenantFromDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 4
		n := &network{mode: map[string]string{well: "28P01"}, dials: map[string]int{}}
		dir, base := newTenants(), undialled()
		base.ConnConfig.DialFunc = n.dial
		r := resolver(t, tenancy.Config{Directory: dir, Base: base, MaxDialsPerServer: places})
		defer closeNow(t, r)
		var leases [places + 1]*tenancy.Lease
		for i := range leases {
			record := tenant(tenancy.ID(fmt.Sprintf("t%d", i)), 1)
			record.Endpoint.Host = "10.0.0.2"
			if i < places {
				record.Endpoint.Password = tenancy.NewSecret("pw")
			}
			dir.put(record)
			leases[i] = acquire(t, r, record.ID)
			defer leases[i].Release()
		}
		dir.hook(func(ctx context.Context, _ tenancy.ID) error {
			<-ctx.Done()
			return ctx.Err()
		})
		start := time.Now()
		ping := func(l *tenancy.Lease) {
			err := l.Pool().Ping(t.Context())
			var pg *pgconn.PgError
			if took := time.Since(start); !errors.As(err, &pg) || took > 3*time.Second {
				t.Errorf("tenant %q: error %v after %v", l.Tenant().ID, err, took)
			}
		}
		var others sync.WaitGroup
		for _, l := range leases[:places] {
			others.Go(func() { ping(l) })
		}
		synctest.Wait()
		ping(leases[places])
		others.Wait()
	})
}
