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
	"github.com/pgtenancy/pgtenancy/internal/pglock"
)

// job is the work on one tenant under one claim: a sign-up, or an undoing. One goroutine uses it.
type job struct {
	p        *Provisioner
	claim    *catalog.Claim
	reserved time.Time         // before Reserve; zero if the claim was taken over
	progress func(step string) // may be nil

	// conn is a session on the maintenance database of the tenant's server that holds the lock of the tenant's name; nil
	// until it is needed. The job makes, changes and drops the database and the role on it alone. When another process
	// takes the claim over, it terminates this session, and this process can do nothing more.
	conn *pgx.Conn
	seen *catalogState // what was there when conn got the lock; nil: not inspected yet

	changes, drift []string // of an adoption: see AdoptResult
}

// step is one step of a job. Each is idempotent: after a crash the job runs again from the start.
type step struct {
	name string
	do   func(ctx context.Context) error
}

// runWithClaim is run with the claim renewed beside it.
func (j *job) runWithClaim(ctx context.Context, steps []step) error {
	ctx, release := j.p.renewClaim(ctx, j.claim)
	defer release()
	return j.run(ctx, steps)
}

// run does the steps in order. Its error names the step and is redacted.
func (j *job) run(ctx context.Context, steps []step) error {
	defer j.disconnect()
	for _, s := range steps {
		if err := j.take(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// take does one step and tells of it.
func (j *job) take(ctx context.Context, s step) error {
	id, cfg, start := j.claim.Tenant.ID, &j.p.cfg, time.Now()
	err := guard(func() error {
		if err := j.begin(ctx, s.name); err != nil {
			return err
		}
		if j.progress != nil {
			j.progress(s.name)
		}
		if cfg.Observer.StepStarted != nil {
			cfg.Observer.StepStarted(id, s.name)
		}
		if err := cfg.failpoints.Before(ctx, s.name); err != nil {
			return err
		}
		if err := s.do(ctx); err != nil {
			return err
		}
		return cfg.failpoints.After(ctx, s.name)
	})
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, catalog.ErrClaimLost) {
		err = cause // what was cut short by it matters less
	}
	err = pgerr.Redact(err)
	took := time.Since(start)
	if cfg.Observer.StepEnded != nil {
		cfg.Observer.StepEnded(id, s.name, took, err)
	}
	j.p.ended(ctx, j.claim, s.name, took, err)
	return err
}

// begin checks the claim and records the step. It does neither where that would only cost a commit: activation checks
// the claim itself, and Reserve recorded the first step; a claim younger than half its life is no other process's.
func (j *job) begin(ctx context.Context, name string) error {
	ttl := j.p.cfg.ClaimTTL
	if name == "activate" || name == j.claim.Tenant.Step && time.Since(j.reserved) < ttl/2 {
		return nil
	}
	return j.p.catalog.Extend(ctx, j.claim, name, ttl)
}

// session returns the job's session, which holds the lock of the tenant's name. It checks the claim under the lock:
// from then on, only a process that takes the claim over may end this session.
func (j *job) session(ctx context.Context) (*pgx.Conn, error) {
	if j.conn != nil {
		return j.conn, nil
	}
	if conn := j.p.adminSessions.take(j.claim.Tenant.Server); conn != nil {
		err := j.takeSession(ctx, conn)
		if err == nil || !conn.IsClosed() || ctx.Err() != nil {
			return conn, err
		}
		j.disconnect() // it was lost while it was unused
	}
	conn, err := j.p.session(ctx, j.claim.Tenant.Server)
	if err != nil {
		return nil, err
	}
	return conn, j.takeSession(ctx, conn)
}

// takeSession makes conn the job's session.
func (j *job) takeSession(ctx context.Context, conn *pgx.Conn) error {
	j.conn = conn
	if err := pglock.LockEvictingStale(ctx, conn, j.claim.Tenant.Endpoint.Database); err != nil {
		return err
	}
	return j.p.catalog.Extend(ctx, j.claim, "", j.p.cfg.ClaimTTL)
}

// returnSession releases the lock after the work under it is done, and keeps the session for the next job.
func (j *job) returnSession(ctx context.Context) {
	conn, server := j.conn, j.claim.Tenant.Server
	j.conn, j.seen = nil, nil
	if j.p.adminSessions.wants(server) {
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock_all()"); err == nil {
			j.p.adminSessions.put(server, conn)
			return
		}
	}
	pgadmin.Disconnect(conn)
}

func (j *job) disconnect() {
	if j.conn != nil {
		pgadmin.Disconnect(j.conn)
		j.conn, j.seen = nil, nil
	}
}
