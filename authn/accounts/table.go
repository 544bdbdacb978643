package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// Table is [Profiles] kept in one table of the tenant's schema, which [Table.SQL] defines.
type Table struct {
	// Name of the table, found by the search path. Default: "admins".
	Name string
}

// SQL returns the statement that makes the table. Put it, or a table with at least these columns, in the tenant's
// schema.
func (t Table) SQL() string {
	return `CREATE TABLE ` + t.name() + ` (
    id            text PRIMARY KEY,
    email         text NOT NULL UNIQUE,
    first_name    text NOT NULL,
    last_name     text NOT NULL,
    role          text NOT NULL,
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
`
}

// Insert implements [Profiles].
func (t Table) Insert(ctx context.Context, tx pgx.Tx, p Profile) error {
	_, err := tx.Exec(ctx, `INSERT INTO `+t.name()+` (id, email, first_name, last_name, role, password_hash)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING`,
		p.ID, p.Email, p.FirstName, p.LastName, p.Role, p.PasswordHash)
	return databaseError("insert admin", err)
}

// Find implements [Profiles].
func (t Table) Find(ctx context.Context, db *pgxpool.Pool, adminID string) (Profile, error) {
	var p Profile
	err := db.QueryRow(ctx, `SELECT id, email, first_name, last_name, role, password_hash
		FROM `+t.name()+` WHERE id = $1`, adminID).
		Scan(&p.ID, &p.Email, &p.FirstName, &p.LastName, &p.Role, &p.PasswordHash)
	if errors.Is(err, pgx.ErrNoRows) {
		return Profile{}, ErrProfileNotFound
	}
	return p, databaseError("find admin", err)
}

// SetPassword implements [Profiles].
func (t Table) SetPassword(ctx context.Context, db *pgxpool.Pool, adminID, oldHash, newHash string) error {
	tag, err := db.Exec(ctx, `UPDATE `+t.name()+` SET password_hash = $3, updated_at = pg_catalog.now()
		WHERE id = $1 AND password_hash = $2`, adminID, oldHash, newHash)
	if err != nil {
		return databaseError("set password", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrPasswordChanged
	}
	return nil
}

// SetRole implements [ProfileEditor].
func (t Table) SetRole(ctx context.Context, db *pgxpool.Pool, adminID, role string) error {
	return t.update(ctx, db, "set role", `role = $2`, adminID, role)
}

// SetEmail implements [ProfileEditor].
func (t Table) SetEmail(ctx context.Context, db *pgxpool.Pool, adminID, email string) error {
	return t.update(ctx, db, "set e-mail", `email = $2`, adminID, email)
}

// Delete implements [ProfileEditor]. A row that others refer to stays, with its id and times, and nothing that tells
// whose it was: no names, no hash, and "removed:" and the id for an e-mail.
func (t Table) Delete(ctx context.Context, db *pgxpool.Pool, adminID string) error {
	tag, err := db.Exec(ctx, `DELETE FROM `+t.name()+` WHERE id = $1`, adminID)
	switch {
	case pgerr.IsState(err, pgerr.ForeignKeyViolation):
		return t.update(ctx, db, "remove admin", `email = 'removed:' || id, first_name = '', last_name = '', role = '',
			password_hash = $2`, adminID, "")
	case err == nil && tag.RowsAffected() == 0:
		return ErrProfileNotFound
	}
	return databaseError("remove admin", err)
}

func (t Table) update(ctx context.Context, db *pgxpool.Pool, what, set, adminID, value string) error {
	tag, err := db.Exec(ctx, `UPDATE `+t.name()+` SET `+set+`, updated_at = pg_catalog.now() WHERE id = $1`, adminID,
		value)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrProfileNotFound
	}
	return databaseError(what, err)
}

func (t Table) name() string { return pgx.Identifier{cmp.Or(t.Name, "admins")}.Sanitize() }

// databaseError names the operation, and the safe part of the driver's error.
func databaseError(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("accounts: %s: %w", what, pgerr.Reduce(err))
}
