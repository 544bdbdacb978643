package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// seed runs the caller's seed function in the tenant's database.
func (j *job) seed(ctx context.Context) error {
	if j.p.cfg.Seed == nil {
		return nil
	}
	takenOver := j.reserved.IsZero()
	conn := j.p.warmConns.take(j.claim.Tenant.ID)
	if conn != nil && takenOver {
		j.p.warmConns.giveBack(conn) // endOlder ends what is older than its own session, so it needs a new one
		conn = nil
	}
	if conn != nil {
		defer j.p.warmConns.giveBack(conn)
		err := j.seedOn(ctx, conn)
		if err == nil || !conn.IsClosed() || ctx.Err() != nil {
			return err
		}
		// The connection was lost while it was unused. The seed may run again.
	}
	conn, err := j.connect(ctx)
	if err != nil {
		return err
	}
	defer pgadmin.Disconnect(conn)
	if takenOver {
		if err := endOlder(ctx, conn); err != nil {
			return fmt.Errorf("end older sessions: %w", pgerr.Redact(err))
		}
	}
	return j.seedOn(ctx, conn)
}

// endOlder ends the administrator's sessions in conn's database that began before it. The seed of a paused process
// could hold rows there for which this seed waits, and must not commit any more. If two processes both took over, the
// later session stays.
func endOlder(ctx context.Context, conn *pgx.Conn) error {
	return pgadmin.Run(ctx, conn, `
		SELECT pg_catalog.pg_terminate_backend(a.pid)
		FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_stat_activity own ON own.pid = pg_catalog.pg_backend_pid()
		WHERE a.datid = own.datid AND a.usesysid = own.usesysid AND a.backend_start < own.backend_start`)
}

func (j *job) seedOn(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return j.p.cfg.Seed(ctx, tx, seedOf(j.claim)) })
}

// connect connects to the tenant's database as Admin. If the database was a warm one, and was dropped by hand before
// the sign-up took it, connect makes it again.
func (j *job) connect(ctx context.Context) (*pgx.Conn, error) {
	t := &j.claim.Tenant
	cfg, err := j.p.config(ctx, t.Server, t.Endpoint.Database)
	if err != nil {
		return nil, err
	}
	conn, err := pgadmin.Connect(ctx, cfg)
	if !j.claim.Warm || !pgerr.IsState(err, pgerr.InvalidCatalogName) {
		return conn, err
	}
	for _, do := range []func(context.Context) error{j.database, j.access} {
		if err := do(ctx); err != nil {
			return nil, err
		}
	}
	return pgadmin.Connect(ctx, cfg)
}

// activate is the commit point. If its answer is lost, activate asks the registry whether it committed.
func (j *job) activate(ctx context.Context) error {
	err := j.p.catalog.Activate(ctx, j.claim)
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

// readBack reads a tenant whose sign-up was settled a moment ago. That the connection to the registry broke just then
// is no reason to answer with an error: it tries a few times, for each try costs the pool one such connection.
func (p *Provisioner) readBack(ctx context.Context, id tenancy.ID) (*registry.Tenant, error) {
	const tries = 5
	for try := 1; ; try++ {
		t, err := p.cfg.Registry.Tenant(ctx, id)
		if err == nil || try == tries || errors.Is(err, tenancy.ErrNotFound) {
			return t, err
		}
		select {
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// doSideEffect is the step of one side effect. It is recorded as begun before Do, so that Undo will run in any case,
// and as done after Do, so that a second run of the job leaves it out.
func (j *job) doSideEffect(ctx context.Context, s SideEffect) error {
	steps, err := j.p.catalog.Steps(ctx, j.claim.Tenant.ID)
	if err != nil {
		return err
	}
	for _, known := range steps {
		if known.Name == s.Name && known.State == catalog.StepDone {
			return nil
		}
	}
	if err := j.recordSideEffect(ctx, s.Name, catalog.StepBegun, ""); err != nil {
		return err
	}
	result, err := s.Do(ctx, sideEffectInput(j.claim, s.Name, ""))
	if err != nil {
		return err
	}
	return j.recordSideEffect(ctx, s.Name, catalog.StepDone, result)
}

// sideEffectInput is what the side effect of that name gets for the tenant of claim.
func sideEffectInput(claim *catalog.Claim, name, result string) SideEffectInput {
	return SideEffectInput{Seed: seedOf(claim), Key: string(claim.Tenant.ID) + "/" + name, Result: result}
}

func seedOf(claim *catalog.Claim) Seed {
	return Seed{
		Tenant:       claim.Tenant.Tenant,
		Organization: claim.Tenant.Organization,
		Admin:        claim.Admin,
		Data:         claim.Data,
	}
}

func (j *job) recordSideEffect(ctx context.Context, name string, state catalog.StepState, result string) error {
	return j.p.catalog.PutStep(ctx, j.claim, catalog.Step{Name: name, State: state, Result: result})
}
