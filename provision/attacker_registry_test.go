package provision_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// The attacker writes to the registry, and listens in the server's place: it asks for the password, or it is in the
// middle of a log-in at the real server. Neither the administrator's password nor a tenant's nor the shared role's
// reaches it, whatever the service does.
func TestAttackerWhoMovesAServerInTheRegistryGetsNoPassword(t *testing.T) {
	t.Parallel()
	for name, relays := range map[string]bool{"asks": false, "relays": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newShared(t)
			evil := pgtest.NewImpostor(t, nil)
			if relays {
				evil = pgtest.NewImpostor(t, f.admin)
			}
			p := f.provisioner(t, f.share)
			f.create(t, f.provisioner(t), "own")
			f.create(t, p, "shares")
			base, err := pgxpool.ParseConfig("")
			must(t, err)
			base.ConnConfig = f.base.Copy()
			r, err := tenancy.New(tenancy.Config{Directory: f.reg, Base: base, Fence: true})
			must(t, err)
			defer func() { must(t, r.Close(context.WithoutCancel(t.Context()))) }()
			must(t, write(t.Context(), r, "own"))
			must(t, write(t.Context(), r, "shares"))

			_, err = f.pool.Exec(t.Context(), "UPDATE pgtenancy.servers SET port = $1", evil.Port)
			must(t, err)
			ctx := t.Context()
			for _, c := range []struct {
				what string
				do   func() error
			}{
				{"a query with a tenant's password", func() error { r.Invalidate("own", 0); return write(ctx, r, "own") }},
				{"a query with the shared role's", func() error { r.Invalidate("shares", 0); return write(ctx, r, "shares") }},
				{"a sign-up", func() error { _, err := p.Create(ctx, request(t, "new", "new@example.org")); return err }},
				{"a template", func() error { return f.provisioner(t).PrepareTemplate(ctx, "one") }},
				{"an upgrade", func() error { _, err := p.Upgrade(ctx, "own", provision.Policy{}); return err }},
				{"a suspension of who has a role", func() error { return p.Suspend(ctx, "own") }},
				{"a suspension of who shares one", func() error { return p.Suspend(ctx, "shares") }},
				{"a rotation", func() error { return p.RotatePassword(ctx, "own") }},
				{"a deletion, which is tried again later", func() error { return p.Drop(ctx, "own") }},
			} {
				var unsigned *registry.UnsignedServerError
				if err := c.do(); !errors.As(err, &unsigned) {
					t.Errorf("%s: %v", c.what, err)
				}
			}
			_, _ = p.Reconcile(ctx)
			_, _ = p.Inspect(ctx)
			short, end := context.WithTimeout(ctx, time.Second)
			defer end()
			f.provisioner(t, func(c *provision.Config) { c.Warm, c.WarmConns = 1, 1 }).KeepWarm(short)
			if evil.Conns() != 0 || len(evil.Got()) != 0 {
				t.Errorf("%d connections, %d passwords", evil.Conns(), len(evil.Got()))
			}

			f.putServer(t, "one", f.admin.Host, f.admin.Port)
			_, err = p.Reconcile(ctx)
			must(t, err)
		})
	}
}
