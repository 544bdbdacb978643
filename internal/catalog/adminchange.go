package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ChangeKind says what an AdminChange does to the admin's row in the tenant's database.
type ChangeKind string

// The kinds of changes.
const (
	ChangeAdd      ChangeKind = "add"
	ChangeRole     ChangeKind = "role"
	ChangeEmail    ChangeKind = "email"
	ChangePassword ChangeKind = "password"
	ChangeRemove   ChangeKind = "remove"
)

// AdminChange is a change of an admin that the registry has decided on, and that may not have reached the tenant's own
// database. It is a claim too: until the claim expires, its owner alone works on it. It prints no Data.
type AdminChange struct {
	Kind     ChangeKind
	TenantID tenancy.ID
	AdminID  string
	Data     []byte `json:"-"` // the caller's own; sealed at rest
	Owner    string
	Attempt  int64
}

// Format implements [fmt.Formatter]: under every verb a change shows its kind, its admin and its tenant.
func (c AdminChange) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "change (%s) of admin %s of tenant %q", string(c.Kind), c.AdminID, string(c.TenantID))
}

// ChangeClaim says by which process and for how long changes are claimed.
type ChangeClaim struct {
	Owner string
	TTL   time.Duration
}

// notLeaving is the condition that an admin a is not being removed.
const notLeaving = `NOT EXISTS (SELECT 1 FROM pgtenancy.admin_changes c WHERE c.admin_id = a.id AND c.kind = 'remove')`

// beginChange writes the intent of c, claimed. It refuses with [registry.ErrConflict] while another change of that
// admin has not come to its end. data is c.Data, sealed.
func beginChange(ctx context.Context, tx pgx.Tx, c *AdminChange, data []byte, ttl time.Duration) error {
	c.Attempt = 1
	tag, err := tx.Exec(ctx, `INSERT INTO pgtenancy.admin_changes (admin_id, tenant_id, kind, data, attempt, claim_owner,
			claim_expires)
		VALUES ($1, $2, $3, $4, 1, $5, now() + $6::interval) ON CONFLICT (admin_id) DO NOTHING`,
		c.AdminID, c.TenantID, string(c.Kind), data, c.Owner, ttl)
	if err == nil && tag.RowsAffected() == 0 {
		return regdb.Refuse(fmt.Errorf("%w: admin %q is being changed", registry.ErrConflict, c.AdminID))
	}
	return err
}

func (cat *Catalog) sealChange(ctx context.Context, c *AdminChange) ([]byte, error) {
	return cat.db.Seal(ctx, c.Data, "admin_changes", c.AdminID, "data")
}

// ClaimChanges claims up to limit changes whose claim has expired, oldest first; of one tenant if id is not empty. Two
// processes never get the same one. ctx governs the statement. A change whose data does not open is not claimed; its
// error is joined into the returned one, beside the other changes.
func (cat *Catalog) ClaimChanges(ctx context.Context, id tenancy.ID, claim ChangeClaim, limit int) ([]*AdminChange,
	error,
) {
	const sql = `
WITH due AS MATERIALIZED (
	SELECT admin_id FROM pgtenancy.admin_changes
	WHERE claim_expires <= now() AND ($1::text = '' OR tenant_id = $1::text)
	ORDER BY claim_expires, admin_id LIMIT $4 FOR UPDATE SKIP LOCKED
)
UPDATE pgtenancy.admin_changes c SET attempt = attempt + 1, claim_owner = $2, claim_expires = now() + $3::interval
FROM due WHERE c.admin_id = due.admin_id
RETURNING c.kind, c.tenant_id, c.admin_id, c.data, c.attempt`
	var found []*AdminChange
	err := regdb.Retry(ctx, func() (err error) {
		rows, _ := cat.db.Pool.Query(ctx, sql, string(id), claim.Owner, claim.TTL, limit)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*AdminChange, error) {
			c := &AdminChange{Owner: claim.Owner}
			return c, row.Scan(&c.Kind, &c.TenantID, &c.AdminID, &c.Data, &c.Attempt)
		})
		return err
	})
	if err != nil {
		return nil, regdb.Redact("claim changes of admins", err)
	}
	var changes []*AdminChange
	var errs []error
	for _, c := range found { // the rows are free by now: a Sealer may ask a network
		if c.Data, err = cat.db.Open(ctx, c.Data, "admin_changes", c.AdminID, "data"); err != nil {
			errs = append(errs, err)
			continue
		}
		changes = append(changes, c)
	}
	return changes, errors.Join(errs...)
}

// changeFence is the condition under which the claim on a change holds.
const changeFence = `admin_id = $1 AND attempt = $2 AND claim_owner = $3`

// ReleaseChange gives the claim up; another process may take it after retryAfter. ctx governs the statement.
func (cat *Catalog) ReleaseChange(ctx context.Context, c *AdminChange, retryAfter time.Duration) error {
	_, err := cat.db.Exec(ctx, fmt.Sprintf("release change of admin %q", c.AdminID), `UPDATE pgtenancy.admin_changes
		SET claim_owner = '', claim_expires = now() + $4::interval WHERE `+changeFence,
		c.AdminID, c.Attempt, c.Owner, retryAfter)
	return err
}

// EndChange ends a change that the tenant's database has. A removed admin's row goes now. Sessions that were opened
// before the tenant's database had the change are closed, unless the change is of the kind add or email. It returns
// [ErrClaimLost] when another process has claimed the change since. ctx governs the transaction.
func (cat *Catalog) EndChange(ctx context.Context, c *AdminChange) error {
	closed, err := cat.note(ctx, registry.EventSessionsClosed, "admin changed: "+string(c.Kind))
	if err != nil {
		return err
	}
	return cat.db.InTx(ctx, fmt.Sprintf("end change of admin %q", c.AdminID), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT 1 FROM pgtenancy.admins WHERE id = $1 FOR UPDATE`, c.AdminID); err != nil {
			return err
		}
		if err := dropChange(ctx, tx, c); err != nil {
			return err
		}
		if c.Kind != ChangeAdd && c.Kind != ChangeEmail {
			if err := closeSessions(ctx, tx, closed, `admin_id = $1::text`, c.AdminID); err != nil {
				return err
			}
		}
		if c.Kind != ChangeRemove {
			return nil
		}
		_, err := tx.Exec(ctx, `DELETE FROM pgtenancy.admins WHERE id = $1`, c.AdminID)
		return err
	})
}

func dropChange(ctx context.Context, tx pgx.Tx, c *AdminChange) error {
	tag, err := tx.Exec(ctx, `DELETE FROM pgtenancy.admin_changes WHERE `+changeFence, c.AdminID, c.Attempt, c.Owner)
	if err == nil && tag.RowsAffected() == 0 {
		return regdb.Refuse(fmt.Errorf("%w: change of admin %q", ErrClaimLost, c.AdminID))
	}
	return err
}
