package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

const (
	passwordHash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g" //nolint:gosec // of no account

	insertAdmin = `INSERT INTO admins (id, email, first_name, last_name, role, password_hash)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING`
)

// tables is a schema like an application's: 25 tables with keys, indexes and checks.
type tables struct{}

func (tables) sql() string {
	var b strings.Builder
	b.WriteString(`CREATE TABLE admins (id text PRIMARY KEY, email text NOT NULL UNIQUE, first_name text NOT NULL,
		last_name text NOT NULL, role text NOT NULL, password_hash text NOT NULL,
		created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());`)
	for i := range 24 {
		fmt.Fprintf(&b, `CREATE TABLE things_%[1]d (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			owner text REFERENCES admins (id), name text NOT NULL, state text NOT NULL DEFAULT 'new',
			amount numeric(12, 2) CHECK (amount >= 0), details jsonb NOT NULL DEFAULT '{}',
			created_at timestamptz NOT NULL DEFAULT now(), CHECK (state IN ('new', 'open', 'done')));
			CREATE INDEX ON things_%[1]d (owner);
			CREATE INDEX ON things_%[1]d (state, created_at);`, i)
	}
	return b.String()
}

// Hash implements [provision.Schema].
func (t tables) Hash() string {
	sum := sha256.Sum256([]byte(t.sql()))
	return hex.EncodeToString(sum[:16])
}

// Build implements [provision.Schema].
func (t tables) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, t.sql())
	return errors.Join(err, conn.Close(ctx))
}

// Upgrade implements [provision.Schema]; nothing is upgraded here.
func (tables) Upgrade(context.Context, provision.UpgradeInput) (*provision.Report, error) {
	return nil, errors.ErrUnsupported
}

// seed writes the first admin.
func seed(ctx context.Context, tx pgx.Tx, s provision.Seed) error {
	_, err := tx.Exec(ctx, insertAdmin, s.Admin.ID, s.Admin.Email.Reveal(), "Ann", "Example", s.Admin.Role,
		s.Admin.PasswordHash)
	return err
}

func rehearse(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, insertAdmin, "nobody", "nobody@example.com", "", "", "", "")
	return err
}
