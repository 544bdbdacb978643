package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Admin is a person who signs in for a tenant. It prints its id and role only.
type Admin struct {
	ID           string
	Email        Email  // sealed at rest, found by blind index
	PasswordHash string `json:"-"`
	Role         string
}

// Format implements [fmt.Formatter]: under every verb an admin shows its id and role.
func (a Admin) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "admin %s (%s)", a.ID, a.Role) }

// LogValue implements [slog.LogValuer].
func (a Admin) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", a.ID), slog.String("role", a.Role))
}

// Membership says that an e-mail belongs to an admin of a tenant.
type Membership struct {
	TenantID tenancy.ID
	AdminID  string
}

const adminColumns = `a.id, a.email, a.password_hash, a.role`

// TenantsByEmail returns the tenants that an e-mail signs in to, in whatever state they are; none if it is unknown. An
// e-mail belongs to one tenant at most unless the operator has dropped that rule. ctx governs the query.
func (r *Registry) TenantsByEmail(ctx context.Context, e Email) ([]Membership, error) {
	if e.IsZero() {
		return nil, ErrInvalidEmail
	}
	values := make([][]byte, 0, len(r.keys.index))
	for _, b := range r.keys.blind(e) {
		values = append(values, b.value)
	}
	rows, _ := r.pool.Query(ctx, `SELECT DISTINCT tenant_id, admin_id FROM pgtenancy.admin_email_index
		WHERE bidx = ANY($1::bytea[]) ORDER BY tenant_id, admin_id`, values)
	members, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Membership])
	return members, driverErr("tenants by e-mail", err)
}

// Admin returns the admin with that id, or [ErrAdminNotFound]. ctx governs the query.
func (r *Registry) Admin(ctx context.Context, adminID string) (Admin, error) {
	var a Admin
	var email []byte
	err := r.queryRow(ctx, fmt.Sprintf("admin %q", adminID),
		`SELECT `+adminColumns+` FROM pgtenancy.admins a WHERE a.id = $1`, []any{adminID},
		&a.ID, &email, &a.PasswordHash, &a.Role)
	if errors.Is(err, pgx.ErrNoRows) {
		return Admin{}, fmt.Errorf("%w: %q", ErrAdminNotFound, adminID)
	}
	if err != nil {
		return Admin{}, err
	}
	if a.Email, err = r.keys.openEmail(ctx, email, "admins", a.ID); err != nil {
		return Admin{}, err
	}
	return a, nil
}

// SetAdminPassword replaces the hash if it still is oldHash by another one of the same password; [ErrConflict] if not,
// [ErrAdminNotFound] if there is no such admin. Sessions go on. ctx governs the transaction.
func (r *Registry) SetAdminPassword(ctx context.Context, adminID, oldHash, newHash string) error {
	return r.setAdminPassword(ctx, adminID, oldHash, newHash, func(tx pgx.Tx) error {
		return remark(ctx, tx, adminID, oldHash, newHash)
	})
}

// ChangeAdminPassword replaces the hash if it still is oldHash by that of another password, and revokes all sessions of
// the admin but one (empty: none is spared), in one transaction, which ctx governs. It returns [ErrConflict] and
// [ErrAdminNotFound] as SetAdminPassword does.
func (r *Registry) ChangeAdminPassword(ctx context.Context, adminID, oldHash, newHash, except string) error {
	return r.setAdminPassword(ctx, adminID, oldHash, newHash, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE pgtenancy.sessions SET password_mark = $3::text
			WHERE id = $1::text AND admin_id = $2::text`, except, adminID, passwordMark(newHash))
		if err == nil {
			_, err = tx.Exec(ctx, closeSessions(`admin_id = $1::text AND id <> $2::text`), adminID, except)
		}
		return err
	})
}

// RemarkSessions has the sessions of an admin that were opened with one hash taken for opened with another of the same
// password. ctx governs the transaction.
func (r *Registry) RemarkSessions(ctx context.Context, adminID, oldHash, newHash string) error {
	return r.inTx(ctx, fmt.Sprintf("mark sessions of admin %q", adminID), func(tx pgx.Tx) error {
		return remark(ctx, tx, adminID, oldHash, newHash)
	})
}

func remark(ctx context.Context, tx pgx.Tx, adminID, oldHash, newHash string) error {
	_, err := tx.Exec(ctx, `UPDATE pgtenancy.sessions SET password_mark = $3::text
		WHERE admin_id = $1::text AND password_mark = $2::text`, adminID, passwordMark(oldHash), passwordMark(newHash))
	return err
}

func (r *Registry) setAdminPassword(ctx context.Context, adminID, oldHash, newHash string, then func(pgx.Tx) error) error {
	err := r.inTx(ctx, fmt.Sprintf("set password of admin %q", adminID), func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE pgtenancy.admins SET password_hash = $3::text, updated_at = now()
			WHERE id = $1::text AND password_hash = $2::text`, adminID, oldHash, newHash)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return refuse(fmt.Errorf("%w: password of admin %q was changed", ErrConflict, adminID))
		}
		return then(tx)
	})
	if errors.Is(err, ErrConflict) {
		if _, lookErr := r.Admin(ctx, adminID); lookErr != nil {
			return lookErr
		}
	}
	return err
}

// insertAdmin writes an admin and their rows of the blind index, one for each key of the ring. Whatever keys another
// process has, a key in both rings makes the two meet at the unique constraint, during a change of keys too; no
// look-up before the insert could promise that.
func (r *Registry) insertAdmin(ctx context.Context, b *pgx.Batch, id tenancy.ID, a Admin) error {
	email, err := r.keys.seal(ctx, []byte(a.Email.Reveal()), "admins", a.ID, "email")
	if err != nil {
		return err
	}
	b.Queue(`INSERT INTO pgtenancy.admins (id, tenant_id, email, password_hash, role)
		VALUES ($1, $2, $3, $4, $5)`, a.ID, id, email, a.PasswordHash, a.Role)
	for _, v := range r.keys.blind(a.Email) {
		b.Queue(`INSERT INTO pgtenancy.admin_email_index (admin_id, kid, bidx, tenant_id)
			VALUES ($1, $2, $3, $4)`, a.ID, v.kid, v.value, id)
	}
	return nil
}
