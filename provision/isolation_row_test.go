package provision_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// The attacker writes to the registry, and points tenant b's row at tenant a's database. With b's role the server
// refuses; a's name with b's password is wrong; a's sealed password does not open in b's row; and where one role serves
// all tenants, the mark in the database refuses and the alarm goes off. No query runs.
func TestRowThatPointsAtAnotherTenantsDatabaseServesNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	a, b := f.create(t, p, "a").Tenant, f.create(t, p, "b").Tenant
	var oneRole atomic.Bool
	directory := tenancy.DirectoryFunc(func(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
		tenant, err := f.reg.Lookup(ctx, id)
		if oneRole.Load() {
			tenant.Endpoint.User, tenant.Endpoint.Password = "", tenancy.Secret{} // the base's
		}
		return tenant, err
	})
	base, err := pgxpool.ParseConfig("")
	must(t, err)
	base.ConnConfig = f.admin.Copy()
	var inside, alarms atomic.Int64
	base.AfterConnect = func(context.Context, *pgx.Conn) error { inside.Add(1); return nil }
	r, err := tenancy.New(tenancy.Config{
		Directory: directory, Base: base, Fence: true, TTL: -1,
		Observer: tenancy.Observer{Fenced: func(id tenancy.ID, err error) {
			if id == "b" && errors.Is(err, tenancy.ErrFenced) {
				alarms.Add(1)
			}
		}},
	})
	must(t, err)
	defer func() { must(t, r.Close(context.WithoutCancel(t.Context()))) }()
	must(t, write(t.Context(), r, "b"))
	inside.Store(0)

	must(t, execute(t.Context(), f.regCfg.ConnConfig,
		"ALTER TABLE pgtenancy.tenants DROP CONSTRAINT tenants_database_key"))
	for _, attack := range []struct {
		name, sql string
		oneRole   bool
		want      func(error) bool
	}{
		{
			"b's role", "UPDATE pgtenancy.tenants SET database = $1 WHERE id = 'b'", false,
			func(err error) bool { return state(err) == "42501" },
		},
		{
			"a's role, b's password", "UPDATE pgtenancy.tenants SET role_name = $1 WHERE id = 'b'", false,
			func(err error) bool { return state(err) == "28P01" },
		},
		{
			"a's sealed password", `UPDATE pgtenancy.tenants SET password = (SELECT password FROM pgtenancy.tenants
			WHERE database = $1 AND id = 'a') WHERE id = 'b'`, false,
			func(err error) bool { return err != nil && state(err) == "" && !errors.Is(err, tenancy.ErrFenced) },
		},
		{
			"one role for all", "UPDATE pgtenancy.tenants SET database = $1, password = $2 WHERE id = 'b'", true,
			func(err error) bool { return errors.Is(err, tenancy.ErrFenced) },
		},
	} {
		args := []any{a.Endpoint.Database}
		if attack.oneRole { // the row is b's own again, but for the database
			args = append(args, f.sealed(t, "b", b))
		}
		_, err := f.pool.Exec(t.Context(), attack.sql, args...)
		must(t, err)
		oneRole.Store(attack.oneRole)
		r.Invalidate("b", 0)
		if err := write(t.Context(), r, "b"); !attack.want(err) {
			t.Errorf("%s: %v", attack.name, err)
		}
	}
	queries := f.list(t, f.in(a.Endpoint.Database), "SELECT count(*)::text FROM members") // each would have left a row
	if inside.Load() != 0 || queries != "0" || alarms.Load() == 0 {
		t.Errorf("%d connections let in, %s queries run, %d alarms, want none, none and some", inside.Load(), queries,
			alarms.Load())
	}
	pgtest.Figure(t, "S15", "4 rows that point at another tenant's database: %d connections let in, %s queries run, %d "+
		"alarms of the fence",
		inside.Load(), queries, alarms.Load())
}

// sealed gives the row of id its own password again, and returns how it is sealed there.
func (f *fixture) sealed(t *testing.T, id tenancy.ID, as tenancy.Tenant) (sealed []byte) {
	t.Helper()
	must(t, catalog.Of(f.reg).SetPassword(t.Context(), id, as.Endpoint.Password))
	must(t, f.pool.QueryRow(t.Context(), "SELECT password FROM pgtenancy.tenants WHERE id = $1", id).Scan(&sealed))
	return sealed
}
