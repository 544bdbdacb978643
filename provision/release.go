package provision

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Release ends the management of an active or suspended tenant, and leaves its database where it is, open to its role:
// the opposite of [Provisioner.Adopt]. It takes the owner tags off, puts back what Adopt found in their place, the
// privileges of PUBLIC among them, undoes the caller's side effects, and removes the row. Routers stop serving the
// tenant; its sessions go on. A role that was made for the tenant stays, without its tag. The id is never given out
// again; adopt the database anew under another.
//
// ctx governs all of it. Once the tenant is marked, Release cannot be taken back, and Run completes it. It returns
// tenancy.ErrNotFound or [ErrNotOurs], and then has changed nothing; registry.ErrConflict for a tenant in another
// state; or the error of the server or of a side effect's Undo.
func (p *Provisioner) Release(ctx context.Context, id tenancy.ID) error {
	if err := p.release(ctx, id); err != nil {
		return fmt.Errorf("provision: release tenant %q: %w", string(id), pgerr.Redact(err))
	}
	return nil
}

func (p *Provisioner) release(ctx context.Context, id tenancy.ID) error {
	err := p.examine(ctx, id, func(context.Context, *pgx.Conn, catalogState, *registry.Tenant) error { return nil })
	if err != nil {
		return err
	}
	if err := p.cfg.failpoints.Before(ctx, "begin release"); err != nil {
		return err
	}
	claim, err := p.catalog.BeginRelease(ctx, id, p.owner, p.cfg.ClaimTTL)
	if err != nil {
		return err
	}
	if err := p.cfg.failpoints.After(ctx, "begin release"); err != nil {
		return err
	}
	return p.undo(ctx, claim)
}

// undo ends a tenant that this process has just begun to delete or to release.
func (p *Provisioner) undo(ctx context.Context, claim *catalog.Claim) error {
	j := &job{p: p, claim: claim}
	err := j.runWithClaim(ctx, j.undoing())
	if err != nil {
		p.yield(ctx, claim, 0)
		signal(p.runNow)
	}
	return err
}

// release takes the tenant's marks off the server. What is not there, or not the tenant's any more, it leaves alone.
func (j *job) release(ctx context.Context) error {
	conn, err := j.session(ctx)
	if err != nil {
		return err
	}
	defer j.disconnect()
	t := &j.claim.Tenant
	f, err := inspectTenant(ctx, conn, t.Endpoint)
	if err != nil {
		return err
	}
	was, err := parseBefore(j.claim.Before)
	if err != nil {
		return err
	}
	own := f.role && !j.p.shares(t) && ownsRole(f, t.ID)
	if f.database && j.p.ownsDatabase(f, t) {
		if err := pgadmin.JoinRole(ctx, conn, f.owner); err != nil {
			return fmt.Errorf("join the owner: %w", pgerr.Redact(err))
		}
		var sql []string
		sql = append(sql, "COMMENT ON DATABASE "+pgadmin.Quote(t.Endpoint.Database)+" IS "+literal(was.Comment))
		if f.role {
			sql = append(sql, "GRANT CONNECT ON DATABASE "+pgadmin.Quote(t.Endpoint.Database)+" TO "+
				pgadmin.Quote(t.Endpoint.User))
		}
		for _, privilege := range was.Public {
			if privilege == "CONNECT" || privilege == "TEMPORARY" || privilege == "CREATE" {
				sql = append(sql, "GRANT "+privilege+" ON DATABASE "+pgadmin.Quote(t.Endpoint.Database)+" TO PUBLIC")
			}
		}
		if own {
			sql = append(sql, j.releaseRoleSQL(was)...)
		}
		if err := j.runLocked(ctx, conn, sql); err != nil {
			return err
		}
	} else if own {
		if err := j.runLocked(ctx, conn, j.releaseRoleSQL(was)); err != nil {
			return err
		}
	}
	if own && t.State == tenancy.Failing && !j.p.keepsRole(t) {
		return j.dropRole(ctx, conn) // the adoption made it
	}
	return nil
}

// releaseRole takes the tenant's marks off a role that outlives the tenant.
func (j *job) releaseRole(ctx context.Context, conn *pgx.Conn, f catalogState) error {
	was, err := parseBefore(j.claim.Before)
	if err != nil || !ownsRole(f, j.claim.Tenant.ID) {
		return err
	}
	return j.runLocked(ctx, conn, j.releaseRoleSQL(was))
}

func (j *job) releaseRoleSQL(was beforeAdoption) []string {
	role := pgadmin.Quote(j.claim.Tenant.Endpoint.User)
	sql := []string{"COMMENT ON ROLE " + role + " IS " + literal(was.RoleNote), "ALTER ROLE " + role + " LOGIN"}
	if j.p.keepsRole(&j.claim.Tenant) {
		sql = append(sql, "ALTER ROLE "+role+" CONNECTION LIMIT "+strconv.Itoa(was.RoleLimit),
			"REVOKE "+pgadmin.Quote(j.p.names.groupRole())+" FROM "+role)
	}
	return sql
}

func (j *job) runLocked(ctx context.Context, conn *pgx.Conn, statements []string) error {
	return j.p.retryLocked(ctx, conn, &j.claim.Tenant, func() error {
		return pgadmin.RetryRaced(ctx, func() error { return pgadmin.Run(ctx, conn, transaction(statements)) })
	})
}

// literal quotes text for a statement that takes no parameters; NULL for none.
func literal(text string) string {
	if text == "" {
		return "NULL"
	}
	return " E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}
