package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
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
		client, err := cat.db.OpenClient(ctx, "sessions", f.ID, f.client)
		if err != nil && !regdb.IsLost(err) {
			return nil, fmt.Errorf("registry: %s: %w", op, err)
		}
		sessions[i].Client = Client(client)
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
	note, err := cat.note(ctx, registry.EventSessionsClosed, "too many wrong passwords")
	if err != nil {
		return err
	}
	ended := false
	err = cat.db.InTx(ctx, "count wrong password", func(tx pgx.Tx) error {
		var wrong int
		err := tx.QueryRow(ctx, `UPDATE pgtenancy.sessions SET wrong_passwords = wrong_passwords + 1
			WHERE id = $1::text RETURNING wrong_passwords`, sessionID).Scan(&wrong)
		ended = errors.Is(err, pgx.ErrNoRows) || err == nil && wrong >= most
		if !ended {
			return err
		}
		return closeSessions(ctx, tx, note, `id = $1::text`, sessionID) // no refusal from here: it would roll this back
	})
	if err == nil && ended {
		err = ErrInvalidSession
	}
	return err
}

// CloseSession revokes a session and publishes that to every process that follows. A session that does not exist is no
// error. ctx governs the statement.
func (cat *Catalog) CloseSession(ctx context.Context, sessionID string) error {
	return cat.closeSessions(ctx, "close session", "one", `id = $1::text`, sessionID)
}

// CloseSessionOf is CloseSession for a session of that admin, and does nothing to another's. ctx governs the statement.
func (cat *Catalog) CloseSessionOf(ctx context.Context, adminID, sessionID string) error {
	return cat.closeSessions(ctx, fmt.Sprintf("close session of admin %q", adminID), "one",
		`id = $1::text AND admin_id = $2::text`, sessionID, adminID)
}

// CloseSessions revokes all sessions of an admin except the given one (empty: all), and publishes that to every process
// that follows. ctx governs the statement.
func (cat *Catalog) CloseSessions(ctx context.Context, adminID, except string) error {
	why := "all"
	if except != "" {
		why = "all but the caller's"
	}
	return cat.closeSessions(ctx, fmt.Sprintf("close sessions of admin %q", adminID), why,
		`admin_id = $1::text AND id <> $2::text`, adminID, except)
}

// closeSessions revokes the sessions of the condition in a transaction of its own.
func (cat *Catalog) closeSessions(ctx context.Context, op, why, condition string, args ...any) error {
	note, err := cat.note(ctx, registry.EventSessionsClosed, why)
	if err != nil {
		return err
	}
	return cat.db.InTx(ctx, op, func(tx pgx.Tx) error { return closeSessions(ctx, tx, note, condition, args...) })
}

// closeSessions revokes the sessions of the condition, publishes that, and records it if there was one.
func closeSessions(ctx context.Context, tx pgx.Tx, note *regdb.Note, condition string, args ...any) error {
	rows, _ := tx.Query(ctx, regdb.CloseSessions(condition), args...)
	n := 0
	_, err := pgx.ForEachRow(rows, []any{&note.Object, &note.TenantID, &note.AdminID, nil}, func() error {
		n++
		return nil
	})
	if err != nil || n == 0 {
		return err
	}
	if n > 1 {
		note.Object = ""
	}
	return note.Write(ctx, tx)
}

// note prepares an event of the actor of ctx.
func (cat *Catalog) note(ctx context.Context, kind registry.EventKind, detail string) (*regdb.Note, error) {
	return cat.db.Note(ctx, regdb.Event{Kind: string(kind), Detail: detail})
}
