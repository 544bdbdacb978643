package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Suspend closes an active tenant: routers stop leasing its pool. A tenant that is suspended already stays so. It
// returns [tenancy.ErrNotFound], or [registry.ErrConflict] in any other state. ctx governs the transaction.
func (cat *Catalog) Suspend(ctx context.Context, id tenancy.ID) error {
	return cat.changeState(ctx, id, tenancy.Active, tenancy.Suspended, registry.EventTenantSuspended)
}

// Resume opens a suspended tenant again. A tenant that is active already stays so. It returns [tenancy.ErrNotFound],
// or [registry.ErrConflict] in any other state. ctx governs the transaction.
func (cat *Catalog) Resume(ctx context.Context, id tenancy.ID) error {
	return cat.changeState(ctx, id, tenancy.Suspended, tenancy.Active, registry.EventTenantResumed)
}

func (cat *Catalog) changeState(ctx context.Context, id tenancy.ID, from, to tenancy.State,
	kind registry.EventKind,
) error {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET state = $3, epoch = epoch + 1, updated_at = now()
	WHERE id = $1 AND state = $2 RETURNING id, epoch
)` + regdb.Publish
	note, err := cat.note(ctx, kind, "")
	if err != nil {
		return err
	}
	note.TenantID = id
	changed := false
	err = cat.db.InTx(ctx, fmt.Sprintf("make tenant %q %s", id, to), func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, id, from, to)
		if changed = tag.RowsAffected() > 0; err != nil || !changed {
			return err
		}
		return note.Write(ctx, tx)
	})
	if err != nil || changed {
		return err
	}
	state, err := cat.db.State(ctx, id)
	if err == nil && state != to {
		err = regdb.Conflict(id, state)
	}
	return err
}

// SetPassword replaces the password of the role of an active or suspended tenant. It returns [tenancy.ErrNotFound], or
// [registry.ErrConflict] in any other state. ctx governs the transaction.
func (cat *Catalog) SetPassword(ctx context.Context, id tenancy.ID, p tenancy.Secret) error {
	return cat.db.SetPassword(ctx, id, p)
}

// SetSchemaHash replaces the stamp from, which says what version of the schema the tenant's database has, by the stamp
// to. The epoch stays; the same transaction tells routers to renew the tenant's connections, as by
// [registry.Registry.RenewConnections]. It returns [tenancy.ErrNotFound], or [registry.ErrConflict] if the tenant has
// another stamp than from by now. ctx governs the statement.
func (cat *Catalog) SetSchemaHash(ctx context.Context, id tenancy.ID, from, to string) error {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET schema_hash = $3, updated_at = now() WHERE id = $1 AND schema_hash = $2
	RETURNING id, 0::bigint AS epoch
)` + regdb.Publish
	changed, err := cat.db.Exec(ctx, fmt.Sprintf("set schema hash of tenant %q", id), sql, id, from, to)
	if err != nil || changed {
		return err
	}
	if _, err := cat.db.State(ctx, id); err != nil {
		return err
	}
	return fmt.Errorf("%w: tenant %q has another schema hash", registry.ErrConflict, id)
}

// ClaimSchemaHash is SetSchemaHash for a database that is being made under c: it returns [ErrClaimLost] if that is
// over. c.Tenant has the new stamp.
func (cat *Catalog) ClaimSchemaHash(ctx context.Context, c *Claim, hash string) error {
	err := cat.fenced(ctx, "set schema hash of", `UPDATE `+c.table()+` SET schema_hash = $4, updated_at = now()
		WHERE `+fence+` AND state IN ('provisioning', 'making')`, c, hash)
	if err == nil {
		c.Tenant.SchemaHash = hash
	}
	return err
}

// ReturnUnusedClaim is [Catalog.ReleaseClaim] for a claim under which nothing was done: the attempt does not count. The
// caller must not use c any more.
func (cat *Catalog) ReturnUnusedClaim(ctx context.Context, c *Claim, retryAfter time.Duration) error {
	sql := `UPDATE ` + c.table() + ` SET attempt = attempt - 1, claim_owner = '', claim_expires = now() + $4::interval,
		updated_at = now() WHERE ` + fence
	return cat.fenced(ctx, "return unused claim on", sql, c, retryAfter)
}
