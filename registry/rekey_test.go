package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ringed returns a registry on f's database with a ring of these keys, the current one of each kind first.
func (f *fixture) ringed(t testing.TB, index, sealing []int16) *registry.Registry {
	t.Helper()
	var cfg keyring.Config
	for _, id := range index {
		cfg.Index = append(cfg.Index, key(id))
	}
	for _, id := range sealing {
		cfg.Seal = append(cfg.Seal, key(id))
	}
	ring, err := keyring.New(cfg)
	must(t, err)
	return newRegistry(t, registry.Config{Pool: f.pool, Keyring: ring})
}

// traffic signs in by e-mail, opens sessions and refreshes them through the registry of the moment, until stop.
type traffic struct {
	f        *fixture
	now      atomic.Pointer[registry.Registry]
	done     chan struct{}
	workers  sync.WaitGroup
	signIns  atomic.Int64
	refused  atomic.Int64
	firstErr atomic.Pointer[error]
}

func (f *fixture) traffic(t *testing.T, tenants, workers int, first *registry.Registry) *traffic {
	t.Helper()
	tr := &traffic{f: f, done: make(chan struct{})}
	tr.now.Store(first)
	for w := range workers {
		tr.workers.Go(func() {
			var token tenancy.Secret
			for n := w; ; n += workers {
				select {
				case <-tr.done:
					return
				default:
				}
				var err error
				if token, err = signIn(t.Context(), tr.now.Load(), name("t%05d", n%tenants), token); err != nil {
					tr.refused.Add(1)
					tr.firstErr.CompareAndSwap(nil, &err)
				}
				tr.signIns.Add(1)
			}
		})
	}
	return tr
}

func (tr *traffic) stop() {
	close(tr.done)
	tr.workers.Wait()
}

// signIn does what a log-in and a refresh ask of the registry; token is one of another session that is open.
func signIn(ctx context.Context, r *registry.Registry, tenant string, token tenancy.Secret) (tenancy.Secret, error) {
	e, err := registry.ParseEmail(tenant + "@example.com")
	if err != nil {
		return token, err
	}
	members, err := r.TenantsByEmail(ctx, e)
	if err != nil || len(members) != 1 || string(members[0].TenantID) != tenant {
		return token, fmt.Errorf("e-mail leads to %v: %w", members, errors.Join(err, errors.ErrUnsupported))
	}
	if _, err := r.Lookup(ctx, members[0].TenantID); err != nil {
		return token, err
	}
	_, next, err := catalog.Of(r).OpenSession(ctx, catalog.SessionRequest{
		TenantID: members[0].TenantID,
		AdminID:  members[0].AdminID, TTL: grace,
	})
	if err != nil {
		return token, err
	}
	if !token.IsZero() {
		_, _, err = catalog.Of(r).RotateSession(ctx, token, grace)
	}
	return next, err
}

// race signs one e-mail up twice at once, in processes with different rings, and returns how many of them succeeded.
func race(t testing.TB, e string, rings ...*registry.Registry) (won int) {
	t.Helper()
	errs := concurrently(len(rings), func(i int) error {
		res := reservation(t, name("%s-%d", e, i))
		res.Admin.Email = email(t, e+"@race.example")
		_, err := catalog.Of(rings[i]).Reserve(t.Context(), res)
		return err
	})
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, registry.ErrEmailTaken):
			t.Errorf("sign-up: %v", err)
		}
	}
	return won
}

// TestKeysAreReplacedWhilePeopleSignUpAndIn is a whole rotation of the index key and the sealing key, as
// docs/security.md tells it, with processes that are one step ahead of the others.
func TestKeysAreReplacedWhilePeopleSignUpAndIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tenants, races := pgtest.Size(60, 10_000), pgtest.Size(5, 250)
	for i := range tenants {
		f.active(t, name("t%05d", i))
	}
	steps := []*registry.Registry{
		f.Registry, // ring {1}, sealing {100}
		f.ringed(t, []int16{1, 2}, []int16{100, 101}),
		f.ringed(t, []int16{2, 1}, []int16{101, 100}),
		f.ringed(t, []int16{2}, []int16{101, 100}), // the sealing key goes only when nothing is left under it
		f.ringed(t, []int16{2}, []int16{101}),
	}
	var won, doubled int
	var last *registry.RekeyResult
	tr := f.traffic(t, tenants, 4, steps[0])
	defer func() {
		pgtest.Figure(t, "S9", "%d tenants, %d log-ins during the rotation, %d refused; %d e-mails raced, %d signed up "+
			"once, %d twice; rows left on old keys: %d", tenants, tr.signIns.Load(),
			tr.refused.Load(), 4*races, won, doubled, last.Left)
	}()
	for i, r := range steps[1:] {
		for n := range races { // while half of the processes have the next ring
			switch race(t, name("s%d-%d", i, n), steps[i], r) {
			case 1:
				won++
			default:
				doubled++
			}
		}
		tr.now.Store(r)
		cfg := registry.RekeyConfig{Batch: pgtest.Size(7, 100)}
		if i >= 2 {
			cfg.Retire = []int16{1}
		}
		var err error
		last, err = r.Rekey(t.Context(), cfg)
		must(t, err)
	}
	tr.stop()
	if tr.refused.Load() > 0 {
		t.Errorf("%d of %d log-ins were refused, the first: %v", tr.refused.Load(), tr.signIns.Load(), *tr.firstErr.Load())
	}
	if doubled > 0 || won != 4*races {
		t.Errorf("of %d e-mails %d were signed up once", 4*races, won)
	}
	if last.Left != 0 || last.Broken != 0 || len(last.Taken) != 0 {
		t.Errorf("left over: %+v", last)
	}
	f.wantNoOldKeys(t)
}

// wantNoOldKeys looks at the rows themselves.
func (f *fixture) wantNoOldKeys(t *testing.T) {
	t.Helper()
	if n := f.count(t, "pgtenancy.admin_email_index WHERE kid <> 2"); n != 0 {
		t.Errorf("%d rows of the blind index under the old key", n)
	}
	if n := f.count(t, `pgtenancy.admins a WHERE NOT EXISTS
		(SELECT FROM pgtenancy.admin_email_index i WHERE i.admin_id = a.id)`); n != 0 {
		t.Errorf("%d admins cannot be found", n)
	}
	for _, c := range registry.SealedColumns() {
		table, column, _ := strings.Cut(c, ".")
		quoted := pgx.Identifier{column}.Sanitize()
		if n := f.count(t, `pgtenancy.`+table+` WHERE substr(`+quoted+`, 1, 3) <> '\x010065'`); n != 0 {
			t.Errorf("%d values of %s under the old key", n, c)
		}
	}
}

func TestRekeyKnowsEverySealedColumn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rows, _ := f.pool.Query(t.Context(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'pgtenancy' AND data_type = 'bytea'`)
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	known := append(registry.SealedColumns(), "admin_email_index.bidx", "throttles.key", "tokens.hash") // hashes
	for _, c := range columns {
		if !slices.Contains(known, c) {
			t.Errorf("Rekey leaves %s as it is", c)
		}
	}
}

func TestRekeyMovesFromTheKeyringToASealer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.reserve(t, "acme")
	must(t, f.PutStep(t.Context(), c, catalog.Step{Name: "s/1", State: catalog.StepDone, Result: "customer"}))
	v := newVault(t, 50)
	var told []registry.RekeyProgress
	result, err := f.sealedBy(t, v, key(100)).Rekey(t.Context(), registry.RekeyConfig{
		Progress: func(p registry.RekeyProgress) { told = append(told, p) },
	})
	if err != nil || result.Resealed != 6 || result.Left != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if len(told) == 0 || told[0] != (registry.RekeyProgress{Table: "tenants", Column: "password", Rows: 1, Rewritten: 1}) {
		t.Errorf("progress %+v", told)
	}
	steps, err := catalog.Of(f.sealedBy(t, v)).Steps(t.Context(), "acme")
	if err != nil || steps[0].Result != "customer" {
		t.Errorf("%v, %v", steps, err)
	}
}

func TestRekeyReportsWhatItCannotMend(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "a")
	f.active(t, "b")
	// Two processes without a key in common have signed one e-mail up twice.
	stranger := f.ringed(t, []int16{2}, []int16{100})
	res := reservation(t, "twin")
	res.Admin.Email = email(t, "a@example.com")
	must(t, stranger.PutServer(t.Context(), registry.Server{Name: "s1", Host: "db1.internal", Port: 5432}))
	_, err := catalog.Of(stranger).Reserve(t.Context(), res)
	must(t, err)
	f.exec(t, `UPDATE pgtenancy.admins SET email = (SELECT email FROM pgtenancy.admins WHERE id = 'admin-a') WHERE id
		= 'admin-b'`)
	r := f.ringed(t, []int16{2, 1}, []int16{101, 100})
	result, err := r.Rekey(t.Context(), registry.RekeyConfig{Retire: []int16{3}})
	must(t, err)
	slices.Sort(result.Taken)
	if !slices.Equal(result.Taken, []string{"admin-a", "admin-twin"}) || result.Broken == 0 || result.Left == 0 {
		t.Errorf("%+v", result)
	}
	for _, cfg := range []registry.RekeyConfig{{Retire: []int16{9, 1}}, {Batch: -1}} {
		if _, err := r.Rekey(t.Context(), cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
	// An admin that no key of the ring finds keeps the rows of retired keys.
	f.exec(t, `UPDATE pgtenancy.admins SET email = ''`)
	only := f.ringed(t, []int16{3}, []int16{100})
	result, err = only.Rekey(t.Context(), registry.RekeyConfig{Retire: []int16{1, 2}})
	if err != nil || result.Retired != 0 || f.count(t, "pgtenancy.admin_email_index") == 0 {
		t.Errorf("%+v, %v", result, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Rekey(ctx, registry.RekeyConfig{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
