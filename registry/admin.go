package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
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

// RolePrimary is the role of the admin who signed a tenant up.
const RolePrimary = "PRIMARY"

// Membership says that an e-mail belongs to an admin of a tenant.
type Membership struct {
	TenantID tenancy.ID
	AdminID  string
}

const adminColumns = `a.id, a.email, a.password_hash, a.role`

// TenantsByEmail returns the tenants that an e-mail signs in to, in any state; none if it is unknown. There is one at
// most unless Config.SharedEmails was set when the others signed up. ctx governs the query.
func (r *Registry) TenantsByEmail(ctx context.Context, e Email) ([]Membership, error) {
	if e.IsZero() {
		return nil, ErrInvalidEmail
	}
	if len(r.db.Keys.IndexIDs()) == 0 {
		return nil, ErrNoIndexKey
	}
	var values [][]byte
	for _, b := range r.db.EmailIndex(e.identity()) {
		values = append(values, b.Sum)
	}
	rows, _ := r.db.Pool.Query(ctx, `SELECT DISTINCT tenant_id, admin_id FROM pgtenancy.admin_email_index
		WHERE bidx = ANY($1::bytea[]) ORDER BY tenant_id, admin_id`, values)
	members, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Membership])
	return members, regdb.Redact("tenants by e-mail", err)
}

// Admin returns the admin with that id, or [ErrAdminNotFound]. ctx governs the query.
func (r *Registry) Admin(ctx context.Context, adminID string) (Admin, error) {
	var a Admin
	var email []byte
	err := r.db.QueryRow(ctx, fmt.Sprintf("admin %q", adminID),
		`SELECT `+adminColumns+` FROM pgtenancy.admins a WHERE a.id = $1`, []any{adminID},
		&a.ID, &email, &a.PasswordHash, &a.Role)
	if errors.Is(err, pgx.ErrNoRows) {
		return Admin{}, fmt.Errorf("%w: %q", ErrAdminNotFound, adminID)
	}
	if err != nil {
		return Admin{}, err
	}
	if a.Email, err = decryptEmail(ctx, r.db, email, "admins", a.ID); err != nil {
		return Admin{}, err
	}
	return a, nil
}

// CheckKeys reports whether this registry was written with the keys, by one admin's row: the e-mail must
// open, and be in the blind index as the key of that id puts it there. Otherwise it returns [ErrWrongKeys], or the
// error of a Sealer. A registry without admins fits all keys. ctx governs the queries.
//
// Call it when a service starts. With other keys, an e-mail that has an account could sign up again, and what is sealed
// from then on would not open under the right ones.
func (r *Registry) CheckKeys(ctx context.Context) error {
	var id string
	var sealed []byte
	err := r.db.QueryRow(ctx, "check keys", `SELECT id, email FROM pgtenancy.admins ORDER BY id LIMIT 1`,
		nil, &id, &sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	email, err := decryptEmail(ctx, r.db, sealed, "admins", id)
	if errors.Is(err, ErrInvalidEmail) || r.db.Keys.Sealer() == nil && err != nil {
		return fmt.Errorf("%w: %w", ErrWrongKeys, err)
	}
	if err != nil {
		return err
	}
	for _, b := range r.db.EmailIndex(email.identity()) {
		var value []byte
		err := r.db.QueryRow(ctx, "check keys",
			`SELECT bidx FROM pgtenancy.admin_email_index WHERE admin_id = $1 AND kid = $2`,
			[]any{id, b.KeyID}, &value)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) { // a key that is new
			return err
		}
		if err == nil && !bytes.Equal(value, b.Sum) {
			return fmt.Errorf("%w: index key %d", ErrWrongKeys, b.KeyID)
		}
	}
	return nil
}
