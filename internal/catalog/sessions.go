package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

// Sessions returns the sessions of an admin that have not ended, most recently used first. A Client that does
// not open, because its key is lost, is empty. ctx governs the query.
func (cat *Catalog) Sessions(ctx context.Context, adminID string) ([]Session, error) {
	type row struct {
		Session
		client []byte
	}
	var found []row
	op := fmt.Sprintf("sessions of admin %q", adminID)
	err := regdb.Redact(op, regdb.Retry(ctx, func() (err error) {
		rows, _ := cat.db.Pool.Query(ctx, `SELECT id, tenant_id, admin_id, created_at, rotated_at, expires_at, idle,
				password_mark, client
			FROM pgtenancy.sessions WHERE admin_id = $1::text AND `+sessionLives+` ORDER BY rotated_at DESC, id`, adminID)
		found, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (s row, err error) {
			err = r.Scan(&s.ID, &s.TenantID, &s.AdminID, &s.CreatedAt, &s.LastUsedAt, &s.ExpiresAt, &s.Idle, &s.mark, &s.client)
			return s, err
		})
		return err
	}))
	if err != nil {
		return nil, err
	}
	sessions := make([]Session, len(found))
	for i, f := range found { // the connection is free by now: a Sealer may ask a network
		sessions[i] = f.Session
		if sessions[i].Client, err = cat.decryptClient(ctx, f.ID, f.client); err != nil && !regdb.IsLost(err) {
			return nil, fmt.Errorf("registry: %s: %w", op, err)
		}
	}
	return sessions, nil
}

// CheckSession returns [ErrInvalidSession] unless the admin has a session of that id that has not ended. ctx governs
// the query.
func (cat *Catalog) CheckSession(ctx context.Context, adminID, sessionID string) error {
	var lives bool
	err := cat.db.QueryRow(ctx, "check session", `SELECT true FROM pgtenancy.sessions
		WHERE id = $1::text AND admin_id = $2::text AND `+sessionLives, []any{sessionID, adminID}, &lives)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrInvalidSession
	}
	return err
}

// CountWrongPassword counts a wrong password that was given in a session, and revokes the session when the count
// reaches most. It returns [ErrInvalidSession] then, and for a session that is not there. ctx governs the transaction.
func (cat *Catalog) CountWrongPassword(ctx context.Context, sessionID string, most int) error {
	ended := false
	err := cat.db.InTx(ctx, "count wrong password", func(tx pgx.Tx) error {
		var wrong int
		err := tx.QueryRow(ctx, `UPDATE pgtenancy.sessions SET wrong_passwords = wrong_passwords + 1
			WHERE id = $1::text RETURNING wrong_passwords`, sessionID).Scan(&wrong)
		ended = errors.Is(err, pgx.ErrNoRows) || err == nil && wrong >= most
		if !ended {
			return err
		}
		_, err = tx.Exec(ctx, regdb.CloseSessions(`id = $1::text`), sessionID) // no error from here: it would roll this back
		return err
	})
	if err == nil && ended {
		err = ErrInvalidSession
	}
	return err
}

// CloseSession revokes a session and publishes that to every process that follows. A session that does not exist is no
// error. ctx governs the statement.
func (cat *Catalog) CloseSession(ctx context.Context, sessionID string) error {
	_, err := cat.db.Exec(ctx, "close session", regdb.CloseSessions(`id = $1`), sessionID)
	return err
}

// CloseSessionOf is CloseSession for a session of that admin, and does nothing to another's. ctx governs the statement.
func (cat *Catalog) CloseSessionOf(ctx context.Context, adminID, sessionID string) error {
	_, err := cat.db.Exec(ctx, fmt.Sprintf("close session of admin %q", adminID),
		regdb.CloseSessions(`id = $1::text AND admin_id = $2::text`), sessionID, adminID)
	return err
}

// CloseSessions revokes all sessions of an admin except the given one (empty: all), and publishes that to every process
// that follows. ctx governs the statement.
func (cat *Catalog) CloseSessions(ctx context.Context, adminID, except string) error {
	_, err := cat.db.Exec(ctx, fmt.Sprintf("close sessions of admin %q", adminID),
		regdb.CloseSessions(`admin_id = $1 AND id <> $2`), adminID, except)
	return err
}
