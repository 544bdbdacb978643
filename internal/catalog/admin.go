package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
)

// SetAdminPassword replaces the hash if it still is oldHash by another one of the same password;
// [registry.ErrConflict] if not, [registry.ErrAdminNotFound] if there is no such admin. Sessions go on. ctx governs
// the transaction.
func (cat *Catalog) SetAdminPassword(ctx context.Context, adminID, oldHash, newHash string) error {
	return cat.setAdminPassword(ctx, adminID, oldHash, newHash, func(tx pgx.Tx) error {
		return remark(ctx, tx, adminID, oldHash, newHash)
	})
}

// ChangeAdminPassword replaces the hash if it still is oldHash by that of another password, and revokes all sessions
// of the admin but one (empty: none is spared), in one transaction, which ctx governs. It returns
// [registry.ErrConflict] and [registry.ErrAdminNotFound] as SetAdminPassword does.
func (cat *Catalog) ChangeAdminPassword(ctx context.Context, adminID, oldHash, newHash, except string) error {
	changed, err := cat.note(ctx, registry.EventPasswordChanged, "")
	if err != nil {
		return err
	}
	closed, err := cat.note(ctx, registry.EventSessionsClosed, "password changed")
	if err != nil {
		return err
	}
	changed.AdminID = adminID
	return cat.setAdminPassword(ctx, adminID, oldHash, newHash, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT tenant_id FROM pgtenancy.admins WHERE id = $1::text`, adminID).
			Scan(&changed.TenantID); err != nil {
			return err
		}
		if err := changed.Write(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE pgtenancy.sessions SET password_mark = $3::text
			WHERE id = $1::text AND admin_id = $2::text`, except, adminID, passwordMark(newHash))
		if err == nil {
			err = closeSessions(ctx, tx, closed, `admin_id = $1::text AND id <> $2::text`, adminID, except)
		}
		return err
	})
}

// RemarkSessions has the sessions of an admin that were opened with one hash taken for opened with another of the same
// password. ctx governs the transaction.
func (cat *Catalog) RemarkSessions(ctx context.Context, adminID, oldHash, newHash string) error {
	return cat.db.InTx(ctx, fmt.Sprintf("mark sessions of admin %q", adminID), func(tx pgx.Tx) error {
		return remark(ctx, tx, adminID, oldHash, newHash)
	})
}

func remark(ctx context.Context, tx pgx.Tx, adminID, oldHash, newHash string) error {
	_, err := tx.Exec(ctx, `UPDATE pgtenancy.sessions SET password_mark = $3::text
		WHERE admin_id = $1::text AND password_mark = $2::text`, adminID, passwordMark(oldHash), passwordMark(newHash))
	return err
}

func (cat *Catalog) setAdminPassword(
	ctx context.Context, adminID, oldHash, newHash string, then func(pgx.Tx) error,
) error {
	err := cat.db.InTx(ctx, fmt.Sprintf("set password of admin %q", adminID), func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE pgtenancy.admins SET password_hash = $3::text, updated_at = now()
			WHERE id = $1::text AND password_hash = $2::text`, adminID, oldHash, newHash)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return regdb.Refuse(fmt.Errorf("%w: password of admin %q was changed", registry.ErrConflict, adminID))
		}
		return then(tx)
	})
	if errors.Is(err, registry.ErrConflict) {
		if _, lookErr := cat.reg.Admin(ctx, adminID); lookErr != nil {
			return lookErr
		}
	}
	return err
}
