package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Claim is the right of one process to work on a tenant's row until it expires. Every write under a claim is fenced: it
// changes nothing and returns [ErrClaimLost] when another process has claimed the row since. A claim that has expired
// holds until another process takes it. Time is the database's. It prints its tenant's id and its attempt only.
//
// Removing a tenant needs none of its secrets. A claim on a failing or deleting tenant has no password, and omits
// values whose key is lost.
type Claim struct {
	Tenant  registry.Tenant
	Admin   registry.Admin // the first one, role PRIMARY; zero: the tenant has none
	Data    []byte         `json:"-"` // the caller's own, from Reservation.Data; gone after activation
	Owner   string
	Attempt int64
	Expires time.Time
	Warm    bool // from Reserve only: the database was made ahead, and is whole

	KeepDatabase bool   // undoing leaves the database where it is: it was there before the tenant, or is released
	Before       []byte `json:"-"` // what an adoption found, in the adopter's format; nil: not adopted

	stock bool // the row is that of a warm database, which is no tenant's yet
}

// table is where the claim's row is.
func (c *Claim) table() string {
	if c.stock {
		return "pgtenancy.warm_databases"
	}
	return "pgtenancy.tenants"
}

// Format implements [fmt.Formatter]: under every verb a claim shows its tenant's id and its attempt.
func (c Claim) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "claim on tenant %q, attempt %d", string(c.Tenant.ID), c.Attempt)
}

// LogValue implements [slog.LogValuer].
func (c Claim) LogValue() slog.Value {
	return slog.GroupValue(slog.String("tenant", string(c.Tenant.ID)), slog.Int64("attempt", c.Attempt))
}

// fence is the condition under which a claim holds; its parameters are the id, the attempt and the owner.
const fence = `id = $1 AND attempt = $2 AND claim_owner = $3`

// Extend renews the claim for ttl from now and records the step being worked on (empty: keeps it). ctx governs the
// statement. c.Expires is brought up to date.
func (cat *Catalog) Extend(ctx context.Context, c *Claim, step string, ttl time.Duration) error {
	err := cat.db.QueryRow(ctx, fmt.Sprintf("extend claim on tenant %q", c.Tenant.ID), `
		UPDATE `+c.table()+` SET claim_expires = now() + $4::interval, updated_at = now(),
			step = CASE WHEN $5::text = '' THEN step ELSE $5::text END
		WHERE `+fence+` RETURNING claim_expires, step`,
		[]any{c.Tenant.ID, c.Attempt, c.Owner, ttl, regdb.Text(step)}, &c.Expires, &c.Tenant.Step)
	if errors.Is(err, pgx.ErrNoRows) {
		return lost(c)
	}
	return err
}

// Activate is the single commit point of a sign-up: provisioning -> active, epoch raised, change written and
// notified, Data erased. ctx governs the transaction. The claim ends; c.Tenant has the new state and epoch.
func (cat *Catalog) Activate(ctx context.Context, c *Claim) error {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET state = 'active', epoch = epoch + 1, data = NULL, claim_owner = '',
		claim_expires = now(), fail_reason = '', activated_at = now(), updated_at = now()
	WHERE ` + fence + ` AND state = 'provisioning' RETURNING id, epoch
)` + regdb.Publish
	err := cat.db.QueryRow(ctx, fmt.Sprintf("activate tenant %q", c.Tenant.ID), sql,
		[]any{c.Tenant.ID, c.Attempt, c.Owner}, nil, &c.Tenant.Epoch, nil)
	if errors.Is(err, pgx.ErrNoRows) {
		return lost(c)
	}
	if err == nil {
		c.Tenant.State, c.Data = tenancy.Active, nil
	}
	return err
}

// Fail marks a provisioning tenant failing and gives the claim up, so that a reconciler may take it at once. reason
// is kept and shown to operators: it must not hold a secret. ctx governs the transaction.
func (cat *Catalog) Fail(ctx context.Context, c *Claim, reason string) error {
	return cat.fail(ctx, c, reason, false)
}

// Abort is Fail for a sign-up that was broken off, or met an error that may be over at the next try. Its idempotency
// key is free: a request that repeats it starts anew.
func (cat *Catalog) Abort(ctx context.Context, c *Claim, reason string) error {
	return cat.fail(ctx, c, reason, true)
}

func (cat *Catalog) fail(ctx context.Context, c *Claim, reason string, again bool) error {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET state = 'failing', epoch = epoch + 1, fail_reason = $4, claim_owner = '',
		claim_expires = now(), updated_at = now(),
		idempotency_key = CASE WHEN NOT $5::boolean THEN idempotency_key END
	WHERE ` + fence + ` AND state = 'provisioning' RETURNING id, epoch
)` + regdb.Publish
	return cat.fenced(ctx, "fail", sql, c, regdb.Text(reason), again)
}

// ReleaseClaim gives the claim up without changing the state; another process may take it after retryAfter. ctx governs
// the statement.
func (cat *Catalog) ReleaseClaim(ctx context.Context, c *Claim, retryAfter time.Duration) error {
	sql := `UPDATE ` + c.table() + ` SET claim_owner = '', claim_expires = now() + $4::interval, updated_at = now()
		WHERE ` + fence
	return cat.fenced(ctx, "release claim on", sql, c, retryAfter)
}

func (cat *Catalog) fenced(ctx context.Context, op, sql string, c *Claim, args ...any) error {
	held, err := cat.db.Exec(ctx, fmt.Sprintf("%s tenant %q", op, c.Tenant.ID), sql,
		append([]any{c.Tenant.ID, c.Attempt, c.Owner}, args...)...)
	if err == nil && !held {
		err = lost(c)
	}
	return err
}

// claimColumns are what a claim on a tenant t needs, from claimTables.
const claimColumns = regdb.TenantColumns + `, t.claim_expires, t.data, coalesce(a.id, ''), a.email,
	coalesce(a.password_hash, ''), coalesce(a.role, ''), t.keep_database, t.before`

const claimTables = `JOIN pgtenancy.servers s ON s.name = t.server
	JOIN pgtenancy.organizations o ON o.id = t.id
	LEFT JOIN LATERAL (
		SELECT * FROM pgtenancy.admins WHERE tenant_id = t.id
		ORDER BY role <> '` + registry.RolePrimary + `', created_at, id LIMIT 1
	) a ON true`

// claimed is a row of claimColumns, of a tenant that was just claimed.
type claimed struct {
	record
	expires    time.Time
	data       []byte
	admin      registry.Admin
	adminEmail []byte
	keep       bool
	before     []byte
}

func (row *claimed) fields() []any {
	return append(row.record.fields(),
		&row.expires, &row.data, &row.admin.ID, &row.adminEmail, &row.admin.PasswordHash, &row.admin.Role,
		&row.keep, &row.before)
}

// decrypt returns the owner's claim.
func (row *claimed) decrypt(ctx context.Context, db *regdb.DB, owner string) (*Claim, error) {
	c := &Claim{Tenant: row.withoutSecrets(db), Admin: row.admin, Owner: owner, Attempt: row.Attempt, Expires: row.expires}
	c.KeepDatabase = row.keep
	id, signUp := c.Tenant.ID, c.Tenant.State == tenancy.Provisioning
	var errs [5]error
	if signUp {
		c.Tenant.Endpoint.Password, errs[0] = db.OpenPassword(ctx, row.route.Sealed, id)
	}
	if row.email != nil {
		c.Tenant.Organization.Email, errs[1] = decryptEmail(ctx, db, row.email, "organizations", string(id))
	}
	if row.adminEmail != nil {
		c.Admin.Email, errs[2] = decryptEmail(ctx, db, row.adminEmail, "admins", c.Admin.ID)
	}
	if row.data != nil {
		c.Data, errs[3] = db.Open(ctx, row.data, "tenants", string(id), "data")
	}
	if row.before != nil {
		c.Before, errs[4] = db.Open(ctx, row.before, "tenants", string(id), "before")
	}
	for _, err := range errs {
		if err != nil && (signUp || !regdb.IsLost(err)) {
			return nil, err
		}
	}
	return c, nil
}

func lost(c *Claim) error { return fmt.Errorf("%w: tenant %q", ErrClaimLost, c.Tenant.ID) }
