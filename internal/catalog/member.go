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

// Member is a membership with the registry's copy of the password's hash, which it does not print.
type Member struct {
	registry.Membership
	PasswordHash string `json:"-"`
}

// Format implements [fmt.Formatter]: under every verb a member shows its tenant and admin.
func (m Member) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "admin %s of tenant %q", m.AdminID, string(m.TenantID))
}

// Members returns the memberships of an e-mail, the oldest first, in tenants of any state; none if it is unknown. ctx
// governs the query.
func (cat *Catalog) Members(ctx context.Context, e registry.Email) ([]Member, error) {
	if e.IsZero() {
		return nil, registry.ErrInvalidEmail
	}
	var values [][]byte
	for _, b := range emailIndex(cat.db, e) {
		values = append(values, b.Sum)
	}
	var members []Member
	err := regdb.Retry(ctx, func() (err error) {
		rows, _ := cat.db.Pool.Query(ctx, `SELECT a.tenant_id, a.id, a.password_hash FROM pgtenancy.admins a
			WHERE a.id IN (SELECT admin_id FROM pgtenancy.admin_email_index WHERE bidx = ANY($1::bytea[]))
			ORDER BY a.created_at, a.id`, values)
		members, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Member, err error) {
			return m, row.Scan(&m.TenantID, &m.AdminID, &m.PasswordHash)
		})
		return err
	})
	return members, regdb.Redact("memberships by e-mail", err)
}

// SetRole changes a role in the registry and writes the intent of the tenant's own row, in one transaction, which ctx
// governs. It returns [ErrLastPrimary] if no other admin would be left whose role is RolePrimary,
// [registry.ErrAdminNotFound], [registry.ErrConflict] while the admin is being changed, or a *[tenancy.StateError].
func (cat *Catalog) SetRole(ctx context.Context, c *AdminChange, role string, ttl time.Duration) error {
	return cat.changeMember(ctx, c, ttl, registry.EventRoleChanged, role, func(tx pgx.Tx) error {
		if role != registry.RolePrimary {
			if err := otherPrimary(ctx, tx, c); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE pgtenancy.admins SET role = $2, updated_at = now() WHERE id = $1`, c.AdminID, role)
		return err
	})
}

// RemoveAdmin closes the sessions of an admin, keeps others from being opened, and writes the intent to delete both
// rows, in one transaction, which ctx governs. It returns what SetRole does.
func (cat *Catalog) RemoveAdmin(ctx context.Context, c *AdminChange, ttl time.Duration) error {
	closed, err := cat.note(ctx, registry.EventSessionsClosed, "admin removed")
	if err != nil {
		return err
	}
	return cat.changeMember(ctx, c, ttl, registry.EventAdminRemoved, "", func(tx pgx.Tx) error {
		if err := otherPrimary(ctx, tx, c); err != nil {
			return err
		}
		return closeSessions(ctx, tx, closed, `admin_id = $1::text`, c.AdminID)
	})
}

// changeMember runs f with the rows of the tenant's admins locked, and writes the intent of c and the event.
func (cat *Catalog) changeMember(ctx context.Context, c *AdminChange, ttl time.Duration, kind registry.EventKind,
	detail string, f func(tx pgx.Tx) error,
) error {
	data, err := cat.sealChange(ctx, c)
	if err != nil {
		return err
	}
	note, err := cat.note(ctx, kind, detail)
	if err != nil {
		return err
	}
	note.TenantID, note.AdminID = c.TenantID, c.AdminID
	return cat.db.InTx(ctx, fmt.Sprintf("change admin %q", c.AdminID), func(tx pgx.Tx) error {
		if err := lockActive(ctx, tx, c.TenantID); err != nil {
			return err
		}
		if err := lockAdmins(ctx, tx, c.TenantID, c.AdminID); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		if err := beginChange(ctx, tx, c, data, ttl); err != nil {
			return err
		}
		return note.Write(ctx, tx)
	})
}

// lockAdmins locks the rows of a tenant's admins in the order of their ids, and refuses if the given one is not there.
func lockAdmins(ctx context.Context, tx pgx.Tx, id tenancy.ID, adminID string) error {
	rows, _ := tx.Query(ctx, `SELECT id FROM pgtenancy.admins WHERE tenant_id = $1 ORDER BY id FOR UPDATE`, id)
	admins, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, a := range admins {
		if a == adminID {
			return nil
		}
	}
	return regdb.Refuse(fmt.Errorf("%w: %q of tenant %q", registry.ErrAdminNotFound, regdb.Shorten(adminID), id))
}

// otherPrimary refuses if the tenant has no other admin with RolePrimary. An admin who is being changed does not count:
// the change may not have reached the tenant's database.
func otherPrimary(ctx context.Context, tx pgx.Tx, c *AdminChange) error {
	var left bool
	err := tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT 1 FROM pgtenancy.admins WHERE id = $2 AND role = $3)
		OR EXISTS (SELECT 1 FROM pgtenancy.admins a WHERE a.tenant_id = $1 AND a.id <> $2 AND a.role = $3
			AND NOT EXISTS (SELECT 1 FROM pgtenancy.admin_changes c WHERE c.admin_id = a.id))`,
		c.TenantID, c.AdminID, registry.RolePrimary).Scan(&left)
	if err == nil && !left {
		return regdb.Refuse(fmt.Errorf("%w: %q of tenant %q", ErrLastPrimary, c.AdminID, c.TenantID))
	}
	return err
}
