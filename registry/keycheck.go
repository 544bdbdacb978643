package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// CheckKeys reports whether the keys are those that this registry was written with, by one admin's row: the e-mail must open,
// and be in the blind index as the key of that id puts it there. Otherwise it returns [ErrWrongKeys], or the error of a
// Sealer. A registry without admins fits all keys. ctx governs the queries.
//
// Call it when a service starts. With other keys, an e-mail that has an account could sign up again, and what is sealed from
// then on would not open under the right ones.
func (r *Registry) CheckKeys(ctx context.Context) error {
	var id string
	var sealed []byte
	err := r.db.QueryRow(ctx, "check keys", `SELECT id, email FROM pgtenancy.admins ORDER BY id LIMIT 1`, nil, &id, &sealed)
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
	for _, b := range r.db.EmailIndex(email.Normalized()) {
		var value []byte
		err := r.db.QueryRow(ctx, "check keys", `SELECT bidx FROM pgtenancy.admin_email_index WHERE admin_id = $1 AND kid = $2`,
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
