package provision_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Two servers as a managed service has them: each with an administrator of its own, which is no superuser, and a
// password of its own; and a database of the same name on both, which was there before.
func TestServersWithAdministratorsOfTheirOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second := pgtest.NewCluster(t, pgtest.ClusterConfig{}).Admin()
	f.putServer(t, "two", second.Host, second.Port)
	supers := map[string]*pgx.ConnConfig{"one": f.admin, "two": second}
	admins, passwords := map[string]*pgx.ConnConfig{}, map[string]string{}
	for server, super := range supers {
		admin := super.Copy()
		if server == "one" {
			admin = f.maintained(t)
		}
		admin.User, admin.Password = f.prefix+"admin_"+server, "wrong"
		passwords[server] = "of " + server
		must(t, execute(t.Context(), super, fmt.Sprintf("CREATE ROLE %s LOGIN CREATEDB CREATEROLE PASSWORD '%s'",
			admin.User, passwords[server])))
		admins[server] = admin
	}
	var asked atomic.Int64
	p := f.provisioner(t, func(c *provision.Config) {
		c.Admin, c.Admins = nil, admins
		c.AdminPassword = func(_ context.Context, server string) (tenancy.Secret, error) {
			asked.Add(1)
			return tenancy.NewSecret(passwords[server]), nil
		}
	})
	const name = "Acme-Prod"
	for server, super := range supers {
		role := f.prefix + "app_" + server
		must(t, execute(t.Context(), super, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'app'", role)))
		// From version 16 on, CREATEROLE is no right over roles that others made.
		must(t, execute(t.Context(), super, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", role, admins[server].User)))
		must(t, execute(t.Context(), super, fmt.Sprintf("CREATE DATABASE %q OWNER %s", name, role)))
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			must(t, execute(ctx, super, fmt.Sprintf("DROP DATABASE IF EXISTS %q WITH (FORCE)", name)))
			if server == "one" {
				must(t, execute(ctx, super, fmt.Sprintf("DROP OWNED BY %s, %s", role, admins[server].User)))
			}
		})
		app := super.Copy()
		app.User, app.Password, app.Database = role, "app", name
		must(t, execute(t.Context(), app, f.schema.build))
		_, err := p.Adopt(t.Context(), provision.AdoptRequest{
			ID: tenancy.ID("acme-" + server), Server: server, Database: name, Role: role, Password: tenancy.NewSecret("app"),
			Aliases: []string{"org_2abcDEF" + server},
		})
		must(t, err)
		_, err = p.Create(t.Context(), provision.Request{ID: tenancy.ID("new-" + server), Server: server})
		must(t, err)
	}
	r, err := tenancy.New(tenancy.Config{
		Directory: f.reg, Base: poolConfig(t), Fence: true,
		Bases: map[string]*pgxpool.Config{"two": named(t, "second")},
	})
	must(t, err)
	t.Cleanup(func() { _ = r.Close(context.WithoutCancel(t.Context())) })
	for server := range supers {
		id, err := r.ResolveAlias(t.Context(), "org_2abcDEF"+server)
		must(t, err)
		for _, id := range []tenancy.ID{id, tenancy.ID("new-" + server)} {
			serves(t, r, id, map[string]string{"one": "", "two": "second"}[server])
			must(t, p.Suspend(t.Context(), id))
			must(t, p.Resume(t.Context(), id))
			must(t, p.RotatePassword(t.Context(), id))
		}
	}
	newer := f.provisioner(t, func(c *provision.Config) {
		c.Admin, c.Admins = nil, admins
		c.AdminPassword = func(_ context.Context, server string) (tenancy.Secret, error) {
			return tenancy.NewSecret(passwords[server]), nil
		}
		c.Schema = &sqlSchema{build: members + "; CREATE TABLE notes (id bigint)", upgrade: "CREATE TABLE notes (id bigint)"}
	})
	f.surveyed(t, p)
	for server := range supers {
		for _, id := range []tenancy.ID{tenancy.ID("acme-" + server), tenancy.ID("new-" + server)} {
			if _, err := newer.Upgrade(t.Context(), id, provision.Policy{}); err != nil {
				t.Errorf("upgrade %s: %v", id, err)
			}
			must(t, p.Drop(t.Context(), id))
		}
	}
	if asked.Load() == 0 {
		t.Error("no password was asked for")
	}
	f.putServer(t, "three", second.Host, second.Port)
	if err := p.PrepareTemplate(t.Context(), "three"); err == nil || !strings.Contains(err.Error(), `"three" is missing`) {
		t.Errorf("a server without an administrator: %v", err)
	}
	boom := errors.New("boom")
	sealed := f.provisioner(t, func(c *provision.Config) {
		c.AdminPassword = func(context.Context, string) (tenancy.Secret, error) { return tenancy.Secret{}, boom }
	})
	if err := sealed.PrepareTemplate(t.Context(), "one"); !errors.Is(err, boom) {
		t.Errorf("a vault that is closed: %v", err)
	}
}

func poolConfig(t *testing.T) *pgxpool.Config {
	t.Helper()
	cfg, err := pgxpool.ParseConfig("host=127.0.0.1 sslmode=disable require_auth=none,scram-sha-256,md5,password")
	must(t, err)
	return cfg
}

// named is a base configuration whose connections have that application_name.
func named(t *testing.T, name string) *pgxpool.Config {
	cfg := poolConfig(t)
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	return cfg
}

// serves fails the test unless the tenant's pool leads to its database, by connections of that application_name.
func serves(t *testing.T, r *tenancy.Resolver, id tenancy.ID, name string) {
	t.Helper()
	l, err := r.Acquire(t.Context(), id)
	must(t, err)
	defer l.Release()
	var got string
	must(t, l.Pool().QueryRow(t.Context(), "SELECT current_setting('application_name')").Scan(&got))
	if got != name {
		t.Errorf("%s is served by %q, want %q", id, got, name)
	}
}
