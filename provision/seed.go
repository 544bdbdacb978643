package provision

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// seed runs the caller's seed function in the tenant's database.
func (j *job) seed(ctx context.Context) error {
	if j.p.cfg.Seed == nil {
		return nil
	}
	if conn := j.p.held.take(j.claim.Tenant.ID); conn != nil {
		defer j.p.held.giveBack(conn)
		err := j.seedOn(ctx, conn)
		if err == nil || !conn.IsClosed() || ctx.Err() != nil {
			return err
		}
		// It was lost while it was held. The seed may run again.
	}
	conn, err := j.connect(ctx)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	return j.seedOn(ctx, conn)
}

func (j *job) seedOn(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return j.p.cfg.Seed(ctx, tx, seedOf(j.claim)) })
}

// connect connects to the tenant's database as Admin. A warm database that somebody has dropped, while it was nobody's,
// is made anew.
func (j *job) connect(ctx context.Context) (*pgx.Conn, error) {
	t := &j.claim.Tenant
	conn, err := connect(ctx, j.p.config(t.Server, t.Endpoint.Database))
	if !j.claim.Warm || !isState(err, invalidCatalogName) {
		return conn, err
	}
	for _, do := range []func(context.Context) error{j.database, j.wall} {
		if err := do(ctx); err != nil {
			return nil, err
		}
	}
	return connect(ctx, j.p.config(t.Server, t.Endpoint.Database))
}

// activate is the commit point. If its answer was lost on the way, the registry is asked whether it took place.
func (j *job) activate(ctx context.Context) error {
	err := j.p.cfg.Registry.Activate(ctx, j.claim)
	if err == nil {
		return nil
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	t, lookErr := j.p.readBack(ctx, j.claim.Tenant.ID)
	if lookErr == nil && t.State == tenancy.Active && t.Attempt == j.claim.Attempt {
		j.claim.Tenant = *t
		return nil
	}
	return err
}
