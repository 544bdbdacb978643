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

// MembersOf returns the memberships of the person whose admin in one tenant has that id, the oldest first, that one
// among them. ctx governs the query.
func (cat *Catalog) MembersOf(ctx context.Context, adminID string) ([]Member, error) {
	var members []Member
	err := regdb.Retry(ctx, func() (err error) {
		rows, _ := cat.db.Pool.Query(ctx, `SELECT a.tenant_id, a.id, a.password_hash FROM pgtenancy.admins a
			WHERE a.id IN (SELECT o.admin_id FROM pgtenancy.admin_email_index i
				JOIN pgtenancy.admin_email_index o ON o.bidx = i.bidx WHERE i.admin_id = $1::text)
			ORDER BY a.created_at, a.id`, adminID)
		members, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Member, err error) {
			return m, row.Scan(&m.TenantID, &m.AdminID, &m.PasswordHash)
		})
		return err
	})
	return members, regdb.Redact("memberships of an admin", err)
}

// BeginPasswords writes the intents to change passwords in several tenants, and nothing else: whether they are changed
// is decided by the caller's write elsewhere. It returns [registry.ErrConflict] while one of these admins is being
// changed. ctx governs the transaction.
func (cat *Catalog) BeginPasswords(ctx context.Context, changes []*AdminChange, ttl time.Duration) error {
	data, err := cat.sealChanges(ctx, changes)
	if err != nil {
		return err
	}
	return cat.db.InTx(ctx, "begin change of passwords", func(tx pgx.Tx) error {
		for i, c := range changes {
			if err := beginChange(ctx, tx, c, data[i], ttl); err != nil {
				return err
			}
		}
		return nil
	})
}

func (cat *Catalog) sealChanges(ctx context.Context, changes []*AdminChange) ([][]byte, error) {
	data := make([][]byte, len(changes))
	for i, c := range changes {
		var err error
		if data[i], err = cat.sealChange(ctx, c); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// WithdrawChange drops the intent of a change that was not decided on. ctx governs the transaction.
func (cat *Catalog) WithdrawChange(ctx context.Context, c *AdminChange) error {
	return cat.db.InTx(ctx, fmt.Sprintf("withdraw change of admin %q", c.AdminID), func(tx pgx.Tx) error {
		return dropChange(ctx, tx, c)
	})
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

// UndoRole gives an admin the role back that they had, because the tenant's database cannot have the new one. It
// returns [ErrClaimLost] when another process has claimed the change since. ctx governs the transaction.
func (cat *Catalog) UndoRole(ctx context.Context, c *AdminChange, role string) error {
	note, err := cat.note(ctx, registry.EventRoleChanged, role)
	if err != nil {
		return err
	}
	note.TenantID, note.AdminID = c.TenantID, c.AdminID
	return cat.db.InTx(ctx, fmt.Sprintf("undo change of admin %q", c.AdminID), func(tx pgx.Tx) error {
		if err := dropChange(ctx, tx, c); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE pgtenancy.admins SET role = $2, updated_at = now() WHERE id = $1`, c.AdminID,
			role); err != nil {
			return err
		}
		return note.Write(ctx, tx)
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
