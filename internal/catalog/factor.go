package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/registry"
)

// Factor is the second factor of an admin. It prints whether it is in force, and no Secret.
type Factor struct {
	Secret    []byte `json:"-"` // sealed at rest
	Confirmed bool   // a code was given: it is in force
}

// Format implements [fmt.Formatter].
func (f Factor) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "factor (confirmed: %t)", f.Confirmed)
}

// PutFactor gives an admin a second factor that is not in force yet, in place of another that is not. It returns
// [registry.ErrConflict] if one is in force, and [registry.ErrAdminNotFound]. ctx governs the statement.
func (cat *Catalog) PutFactor(ctx context.Context, m registry.Membership, secret []byte) error {
	sealed, err := cat.db.Seal(ctx, secret, "factors", m.AdminID, "secret")
	if err != nil {
		return err
	}
	done, err := cat.db.Exec(ctx, fmt.Sprintf("put factor of admin %q", m.AdminID), `
		INSERT INTO pgtenancy.factors AS f (admin_id, secret)
		SELECT id, $3::bytea FROM pgtenancy.admins WHERE id = $1::text AND tenant_id = $2::text
		ON CONFLICT (admin_id) DO UPDATE SET secret = excluded.secret, last_step = 0, created_at = now()
		WHERE f.confirmed_at IS NULL`, m.AdminID, m.TenantID, sealed)
	if err != nil || done {
		return err
	}
	_, known, err := cat.Factor(ctx, m)
	switch {
	case err != nil:
		return err
	case !known:
		return fmt.Errorf("%w: %q of tenant %q", registry.ErrAdminNotFound, m.AdminID, m.TenantID)
	}
	return fmt.Errorf("%w: admin %q has a second factor", registry.ErrConflict, m.AdminID)
}

// Factor returns an admin's second factor, and whether there is one. ctx governs the query.
func (cat *Catalog) Factor(ctx context.Context, m registry.Membership) (Factor, bool, error) {
	var f Factor
	err := cat.db.QueryRow(ctx, fmt.Sprintf("factor of admin %q", m.AdminID), `
		SELECT f.secret, f.confirmed_at IS NOT NULL FROM pgtenancy.factors f
		JOIN pgtenancy.admins a ON a.id = f.admin_id WHERE a.id = $1::text AND a.tenant_id = $2::text`,
		[]any{m.AdminID, m.TenantID}, &f.Secret, &f.Confirmed)
	if errors.Is(err, pgx.ErrNoRows) {
		return Factor{}, false, nil
	}
	if err == nil {
		f.Secret, err = cat.db.Open(ctx, f.Secret, "factors", m.AdminID, "secret")
	}
	return f, err == nil, err
}

// UseFactor uses up the code of a time step, and reports whether it was good: of any two uses at once, and of a step
// and those before it, one is. ctx governs the statement.
func (cat *Catalog) UseFactor(ctx context.Context, m registry.Membership, step int64) (bool, error) {
	return cat.db.Exec(ctx, fmt.Sprintf("use factor of admin %q", m.AdminID), `
		UPDATE pgtenancy.factors SET last_step = $2 WHERE admin_id = $1::text AND last_step < $2`, m.AdminID, step)
}

// ConfirmFactor puts an admin's second factor in force. ctx governs the transaction.
func (cat *Catalog) ConfirmFactor(ctx context.Context, m registry.Membership) error {
	return cat.noteFactor(ctx, m, registry.EventFactorAdded,
		`UPDATE pgtenancy.factors SET confirmed_at = now() WHERE admin_id = $1::text AND confirmed_at IS NULL`)
}

// DeleteFactor takes an admin's second factor. It is no error if there is none. ctx governs the transaction.
func (cat *Catalog) DeleteFactor(ctx context.Context, m registry.Membership) error {
	return cat.noteFactor(ctx, m, registry.EventFactorRemoved, `DELETE FROM pgtenancy.factors WHERE admin_id = $1::text`)
}

func (cat *Catalog) noteFactor(ctx context.Context, m registry.Membership, kind registry.EventKind, sql string) error {
	note, err := cat.note(ctx, kind, "")
	if err != nil {
		return err
	}
	note.TenantID, note.AdminID = m.TenantID, m.AdminID
	return cat.db.InTx(ctx, fmt.Sprintf("change factor of admin %q", m.AdminID), func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, m.AdminID)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return note.Write(ctx, tx)
	})
}
