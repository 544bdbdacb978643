package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Suspend closes an active tenant: routers stop leasing its pool. A tenant that is suspended already stays so. It
// returns [tenancy.ErrNotFound], or [ErrConflict] in any other state. ctx governs the transaction.
func (r *Registry) Suspend(ctx context.Context, id tenancy.ID) error {
	return r.turn(ctx, id, tenancy.Active, tenancy.Suspended)
}

// Resume opens a suspended tenant again. A tenant that is active already stays so. It returns [tenancy.ErrNotFound],
// or [ErrConflict] in any other state. ctx governs the transaction.
func (r *Registry) Resume(ctx context.Context, id tenancy.ID) error {
	return r.turn(ctx, id, tenancy.Suspended, tenancy.Active)
}

func (r *Registry) turn(ctx context.Context, id tenancy.ID, from, to tenancy.State) error {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET state = $3, epoch = epoch + 1, updated_at = now()
	WHERE id = $1 AND state = $2 RETURNING id, epoch
)` + announce
	changed, err := r.exec(ctx, fmt.Sprintf("make tenant %q %s", id, to), sql, id, from, to)
	if err != nil || changed {
		return err
	}
	state, err := r.state(ctx, id)
	if err == nil && state != to {
		err = conflict(id, state)
	}
	return err
}

// SetPassword replaces the password of the role of an active or suspended tenant. It returns [tenancy.ErrNotFound], or
// [ErrConflict] in any other state. ctx governs the transaction.
func (r *Registry) SetPassword(ctx context.Context, id tenancy.ID, p tenancy.Secret) error {
	if strings.HasPrefix(p.Reveal(), refMark) {
		return fmt.Errorf("registry: set password of tenant %q: a password has no NUL", id)
	}
	return r.setPassword(ctx, id, p)
}

func (r *Registry) setPassword(ctx context.Context, id tenancy.ID, p tenancy.Secret) error {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET password = $2, epoch = epoch + 1, updated_at = now()
	WHERE id = $1 AND state IN ('active', 'suspended') RETURNING id, epoch
)` + announce
	sealed, err := r.keys.seal(ctx, []byte(p.Reveal()), "tenants", string(id), "password")
	if err != nil {
		return err
	}
	changed, err := r.exec(ctx, fmt.Sprintf("set password of tenant %q", id), sql, id, sealed)
	if err != nil || changed {
		return err
	}
	state, err := r.state(ctx, id)
	if err == nil {
		err = conflict(id, state)
	}
	return err
}

// SetSchemaHash replaces the stamp from, which says what version of the schema the tenant's database has, by the stamp
// to. The epoch stays; routers are told to renew the tenant's connections, in the same transaction, as by
// [Registry.RenewConnections]. It returns [tenancy.ErrNotFound], or [ErrConflict] if the tenant has another stamp than
// from by now. ctx governs the statement.
func (r *Registry) SetSchemaHash(ctx context.Context, id tenancy.ID, from, to string) error {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET schema_hash = $3, updated_at = now() WHERE id = $1 AND schema_hash = $2
	RETURNING id, 0::bigint AS epoch
)` + announce
	changed, err := r.exec(ctx, fmt.Sprintf("set schema hash of tenant %q", id), sql, id, from, to)
	if err != nil || changed {
		return err
	}
	if _, err := r.state(ctx, id); err != nil {
		return err
	}
	return fmt.Errorf("%w: tenant %q has another schema hash", ErrConflict, id)
}

// RenewConnections tells every process that follows that the schema of the tenant's database has changed: each renews
// its connections to it and cuts nothing that is in use ([tenancy.Resolver.Renew]). Whoever changes a schema by other
// means than package provision calls it, once the change is committed; called just before the commit too, with the
// changed tables locked, it leaves fewer connections that could meet the change with a statement that is out of date.
// It returns [tenancy.ErrNotFound]. ctx governs the statement.
func (r *Registry) RenewConnections(ctx context.Context, id tenancy.ID) error {
	const sql = `
WITH changed AS (
	SELECT id, 0::bigint AS epoch FROM pgtenancy.tenants WHERE id = $1
)` + announce
	told, err := r.exec(ctx, fmt.Sprintf("renew connections of tenant %q", id), sql, id)
	if err == nil && !told {
		err = notFound(id)
	}
	return err
}

// ClaimSchemaHash is SetSchemaHash for a database that is being made under c: it returns [ErrClaimLost] if that is
// over. c.Tenant has the new stamp.
func (r *Registry) ClaimSchemaHash(ctx context.Context, c *Claim, hash string) error {
	err := r.fenced(ctx, "set schema hash of", `UPDATE `+c.table()+` SET schema_hash = $4, updated_at = now()
		WHERE `+fence+` AND state IN ('provisioning', 'making')`, c, hash)
	if err == nil {
		c.Tenant.SchemaHash = hash
	}
	return err
}

// GiveBack is [Registry.Yield] for a claim under which nothing was done: the attempt does not count. The caller must
// not use c any more.
func (r *Registry) GiveBack(ctx context.Context, c *Claim, retryAfter time.Duration) error {
	sql := `UPDATE ` + c.table() + ` SET attempt = attempt - 1, claim_owner = '', claim_expires = now() + $4::interval,
		updated_at = now() WHERE ` + fence
	return r.fenced(ctx, "give back", sql, c, retryAfter)
}

// SetBillingCustomer records the id that the billing service knows the organization by. The epoch stays. It returns
// [tenancy.ErrNotFound]. ctx governs the statement.
func (r *Registry) SetBillingCustomer(ctx context.Context, id tenancy.ID, customer string) error {
	return r.set(ctx, "set billing customer", id,
		`UPDATE pgtenancy.organizations SET billing_customer = $2 WHERE id = $1`, customer)
}

func (r *Registry) set(ctx context.Context, op string, id tenancy.ID, sql string, value string) error {
	found, err := r.exec(ctx, fmt.Sprintf("%s of tenant %q", op, id), sql, id, value)
	if err == nil && !found {
		err = notFound(id)
	}
	return err
}

// state returns a tenant's state, to say why a statement did not find it in the one it wanted.
func (r *Registry) state(ctx context.Context, id tenancy.ID) (tenancy.State, error) {
	var state tenancy.State
	err := r.queryRow(ctx, fmt.Sprintf("state of tenant %q", id),
		`SELECT state FROM pgtenancy.tenants WHERE id = $1`, []any{id}, &state)
	if errors.Is(err, pgx.ErrNoRows) {
		err = notFound(id)
	}
	return state, err
}

func conflict(id tenancy.ID, state tenancy.State) error {
	return fmt.Errorf("%w: tenant %q is %s", ErrConflict, id, state)
}
