package provision_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestCreateMakesAUsableTenant(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var log bytes.Buffer
	var steps, observed []string
	p := f.provisioner(t, func(c *provision.Config) {
		c.Logger = logTo(&log)
		c.Observer.StepStarted = func(id tenancy.ID, step string) { observed = append(observed, string(id)+" "+step) }
		c.Observer.StepEnded = func(id tenancy.ID, step string, took time.Duration, err error) {
			last := len(observed) - 1
			if observed[last] != string(id)+" "+step || took <= 0 || err != nil {
				t.Errorf("%q ended for %q after %v with %v, and %q was under way", step, id, took, err, observed[last])
			}
		}
		c.SideEffects = []provision.SideEffect{{Name: "billing", Do: func(context.Context,
			provision.SideEffectInput,
		) (string, error) {
			return "cus_1", nil
		}}}
	})
	req := request(t, "acme", "ann@example.org")
	req.Progress = func(step string) { steps = append(steps, step) }
	result, err := p.Create(t.Context(), req)
	must(t, err)

	if diff := cmp.Diff([]string{"database", "access", "seed", "step:billing", "activate"}, steps); diff != "" {
		t.Errorf("steps: %s", diff)
	}
	if got, want := strings.Join(observed, ", "), "acme intent, acme "+strings.Join(steps, ", acme "); got != want {
		t.Errorf("observed %q, want %q", got, want)
	}
	tenant := result.Tenant
	if tenant.State != tenancy.Active || tenant.SchemaHash != f.schema.Hash() || result.Admin.ID == "" {
		t.Errorf("result: %+v", result)
	}
	if got := f.residue(t); got != f.active("acme") {
		t.Errorf("on the server and in the registry: %s", got)
	}
	conn, err := f.connect(t.Context(), tenant, f.prefix+"acme") // with the password the server never saw
	must(t, err)
	defer conn.Close(t.Context())
	var admin, loud string
	must(t, conn.QueryRow(t.Context(),
		"WITH m AS (INSERT INTO members (name) VALUES ('bob') RETURNING shout(name) AS n) SELECT id, n FROM admins, m",
	).Scan(&admin, &loud))
	if admin != result.Admin.ID || loud != "BOB" {
		t.Errorf("admin %q, function %q", admin, loud)
	}
	for _, secret := range []string{"ann@example.org", "hash", tenant.Endpoint.Password.Reveal()} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	steps = append(steps, "intent") // of which Progress is not told: there was no tenant yet
	if n := strings.Count(log.String(), "tenant=acme server=one attempt=1 "); n != len(steps) {
		t.Errorf("%d lines of log for %d steps:\n%s", n, len(steps), &log)
	}
	slices.Sort(steps)
	for i, s := range p.Stat().Steps() {
		if s.Name() != steps[i] || s.Count() != 1 || s.ErrorCount() != 0 || s.Duration() <= 0 || s.Longest() != s.Duration() {
			t.Errorf("figures of a step: %+v, want one time %q", s, steps[i])
		}
	}
}

func TestDatabaseAndRoleAreWhatTheAccessSays(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create(t, f.provisioner(t), "acme")
	got := f.list(t, f.admin, `
		SELECT concat_ws(' ', datallowconn, datistemplate, rolname, shobj_description(d.oid, 'pg_database'), datacl::text)
		FROM pg_database d JOIN pg_roles o ON o.oid = datdba WHERE datname = $1`, f.prefix+"acme")
	owner := f.prefix + "_owner"
	want := `t f ` + owner + ` {"pgtenancy":1,"tenant":"acme","epoch":1} {` + owner + `=CTc/` + owner + `,` +
		f.prefix + `acme=c/` + owner + `}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("database: %s", diff)
	}
	got = f.list(t, f.admin, `
		SELECT concat_ws(' ', rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit,
			left(rolpassword, 19), (SELECT string_agg(g.rolname, ',') FROM pg_auth_members JOIN pg_roles g ON g.oid = roleid
			WHERE member = a.oid))
		FROM pg_authid a WHERE rolname = $1`, f.prefix+"acme")
	if want := "t f f f f f 64 SCRAM-SHA-256$4096: " + f.prefix + "_tenant"; got != want {
		t.Errorf("role: %s, want %s", got, want)
	}
}

func TestRoleOfOneTenantIsKeptOutOfAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	a, b := f.create(t, p, "a").Tenant, f.create(t, p, "b").Tenant
	for _, database := range []string{
		b.Endpoint.Database, f.prefix + "_template_" + f.schema.Hash(), f.admin.Database, "template1",
	} {
		conn, err := f.connect(t.Context(), a, database)
		if err == nil {
			_ = conn.Close(t.Context())
			t.Errorf("the role of a connects to %s", database)
		}
	}
	_, err := f.connect(t.Context(), a, b.Endpoint.Database)
	if state(err) != "42501" {
		t.Errorf("refused with %v", err)
	}
	own, err := f.connect(t.Context(), a, a.Endpoint.Database)
	must(t, err)
	defer own.Close(t.Context())
	name := pgx.Identifier{a.Endpoint.Database}.Sanitize()
	for _, sql := range []string{
		"DROP DATABASE " + name, "ALTER DATABASE " + name + " CONNECTION LIMIT 1", "COMMENT ON DATABASE " + name + " IS 'x'",
		"DROP TABLE members", "CREATE TABLE mine (i int)", "CREATE SCHEMA mine",
		"SET ROLE " + pgx.Identifier{f.prefix + "_owner"}.Sanitize(), "CREATE ROLE other",
	} {
		if _, err := own.Exec(t.Context(), sql); state(err) != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// TestDatabaseIsClosedWhileItIsMade tries the door before each step of another tenant's sign-up.
func TestDatabaseIsClosedWhileItIsMade(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.create(t, f.provisioner(t), "a").Tenant
	tried := 0
	p := f.provisioner(t, func(c *provision.Config) {
		c.Observer.StepEnded = func(_ tenancy.ID, step string, _ time.Duration, _ error) {
			tried++
			conn, err := f.connect(t.Context(), a, f.prefix+"b")
			if err == nil {
				_ = conn.Close(t.Context())
			}
			want := "42501"
			switch step {
			case "intent":
				want = "3D000" // there is no database yet
			case "database":
				want = "55000" // not accepting connections, from anybody
			}
			if state(err) != want {
				t.Errorf("after %s: %v", step, err)
			}
		}
	})
	f.create(t, p, "b")
	if tried != 5 {
		t.Errorf("tried %d times", tried)
	}
}

// TestAnswerOutlivesTheConnectionsToTheRegistry breaks all of them when the sign-up has just been committed.
func TestAnswerOutlivesTheConnectionsToTheRegistry(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w, points := &wires{}, failpoint.New()
	regCfg := f.regCfg.Copy()
	w.through(&regCfg.ConnConfig.Config)
	pool := poolOf(t, regCfg)
	cut := false
	points.On("after activate", func(ctx context.Context) error {
		cut = true
		return w.cut(ctx)
	})
	p := f.provisioner(t, func(c *provision.Config) {
		c.Registry = openRegistryOn(t, pool)
		c.SideEffects = []provision.SideEffect{{Name: "none", Do: func(context.Context, provision.SideEffectInput) (string,
			error,
		) {
			return "", nil
		}}}
		c.SetFailpoints(points)
	})
	made, err := p.Create(t.Context(), request(t, "acme", "a@example.org"))
	if err != nil || made.Tenant.State != tenancy.Active || !cut {
		t.Errorf("cut %t: %+v, %v", cut, made, err)
	}
}

func TestSameKeyMakesOneTenant(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	results := make([]*provision.Result, 4)
	var wg sync.WaitGroup
	for i := range results {
		req := request(t, "", "key@example.org")
		req.IdempotencyKey, req.RequestHash = "k", []byte("h")
		wg.Go(func() {
			var err error
			if results[i], err = p.Create(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	if t.Failed() {
		return
	}
	fresh := 0
	for _, r := range results {
		if !r.Replayed {
			fresh++
		}
		if r.Tenant.ID != results[0].Tenant.ID || r.Admin.ID != results[0].Admin.ID {
			t.Errorf("two answers: %v, %v", r.Tenant.ID, results[0].Tenant.ID)
		}
	}
	if fresh != 1 {
		t.Errorf("%d of them made a tenant", fresh)
	}
}

func TestSameKeyOfAFailedSignUpIsAnsweredWithTheFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	fails := f.provisioner(t, func(c *provision.Config) {
		c.Seed = func(context.Context, pgx.Tx, provision.Seed) error { return errBroken }
	})
	req := request(t, "acme", "key@example.org")
	req.IdempotencyKey = "k"
	if _, err := fails.Create(t.Context(), req); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	p := f.provisioner(t)
	req.ID = ""
	if _, err := p.Create(t.Context(), req); !errors.Is(err, provision.ErrFailedBefore) {
		t.Fatal(err)
	}
	f.reconcile(t, p, "")
	if _, err := p.Create(t.Context(), req); !errors.Is(err, provision.ErrFailedBefore) {
		t.Errorf("after the failure was undone: %v", err)
	}
	req.IdempotencyKey = "another"
	result, err := p.Create(t.Context(), req)
	if err != nil || result.Replayed {
		t.Errorf("under another key: %v, %v", result, err)
	}
}

func TestCreateRefusesNamesThatPostgreSQLWouldCut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	for _, id := range []string{"Acme", "a b", strings.Repeat("x", 55)} {
		if _, err := p.Create(t.Context(), request(t, id, "a@example.org")); !errors.Is(err, tenancy.ErrInvalidID) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestIDsOfOurOwnAreValid(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	result := f.create(t, f.provisioner(t), "")
	if !result.Tenant.ID.Valid() || len(result.Tenant.ID) != 24 || strings.ContainsAny(string(result.Tenant.ID), "_-") {
		t.Errorf("id %q", result.Tenant.ID)
	}
}

func state(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
