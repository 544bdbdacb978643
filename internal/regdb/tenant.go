package regdb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/status"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ErrConflict is registry.ErrConflict.
var ErrConflict error = status.New(status.Conflict, "registry: conflict", "")

// SetPassword replaces the password of the role of an active or suspended tenant. It returns [tenancy.ErrNotFound], or
// [ErrConflict] in any other state. ctx governs the transaction.
func (db *DB) SetPassword(ctx context.Context, id tenancy.ID, p tenancy.Secret) error {
	if strings.HasPrefix(p.Reveal(), refMark) {
		return fmt.Errorf("registry: set password of tenant %q: a password has no NUL", id)
	}
	return db.setPassword(ctx, id, p)
}

// SetPasswordRef is registry.Registry.SetPasswordRef.
func (db *DB) SetPasswordRef(ctx context.Context, id tenancy.ID, ref string) error {
	if _, err := db.resolveSecretRef(ctx, ref); err != nil {
		return err
	}
	return db.setPassword(ctx, id, tenancy.NewSecret(refMark+ref))
}

func (db *DB) setPassword(ctx context.Context, id tenancy.ID, p tenancy.Secret) error {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET password = $2, epoch = epoch + 1, updated_at = now()
	WHERE id = $1 AND state IN ('active', 'suspended') RETURNING id, epoch
)` + Publish
	sealed, err := db.Seal(ctx, []byte(p.Reveal()), "tenants", string(id), "password")
	if err != nil {
		return err
	}
	changed, err := db.Exec(ctx, fmt.Sprintf("set password of tenant %q", id), sql, id, sealed)
	if err != nil || changed {
		return err
	}
	state, err := db.State(ctx, id)
	if err == nil {
		err = Conflict(id, state)
	}
	return err
}

// State returns a tenant's state, to say why a statement did not find it in the one it wanted.
func (db *DB) State(ctx context.Context, id tenancy.ID) (tenancy.State, error) {
	var state tenancy.State
	err := db.QueryRow(ctx, fmt.Sprintf("state of tenant %q", id),
		`SELECT state FROM pgtenancy.tenants WHERE id = $1`, []any{id}, &state)
	if errors.Is(err, pgx.ErrNoRows) {
		err = NotFound(id)
	}
	return state, err
}

// Conflict says that a tenant's state forbids a change.
func Conflict(id tenancy.ID, state tenancy.State) error {
	return fmt.Errorf("%w: tenant %q is %s", ErrConflict, id, state)
}
