package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Session is the time in which an admin stays signed in. It prints its id, its tenant and its admin only.
type Session struct {
	ID         string
	TenantID   tenancy.ID
	AdminID    string
	CreatedAt  time.Time
	LastUsedAt time.Time     // when its last refresh token was given out
	ExpiresAt  time.Time     // whether it is used or not
	Idle       time.Duration // how long it lives without use
	Client     Client        // from Sessions only

	mark string // of the password's hash that it was opened with; empty: not known
}

// Format implements [fmt.Formatter]: a client's address is personal data.
func (s Session) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "session %s of admin %s of tenant %q", s.ID, s.AdminID, string(s.TenantID))
}

// LogValue implements [slog.LogValuer].
func (s Session) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", s.ID), slog.String("tenant", string(s.TenantID)), slog.String("admin", s.AdminID))
}

// OpenedWith reports whether s was opened with the password that has this hash, or it is not known with which.
func (s Session) OpenedWith(hash string) bool { return s.mark == "" || s.mark == passwordMark(hash) }

// passwordMark tells one password's hash from another.
func passwordMark(hash string) string {
	if hash == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(hash))
	return hex.EncodeToString(sum[:16])
}

// sessionLives is the condition that a session has not ended.
const sessionLives = `expires_at > now() AND rotated_at + idle > now()`

// RotateSession exchanges a refresh token for its successor, in one transaction that ctx governs. Within grace of a
// rotation the token before gives the same successor again, for a client that lost the answer. An older one revokes
// the session, and the revocation commits: [ErrSessionReused]. A token that is unknown, malformed, expired, revoked,
// not used for too long, or of a tenant that is not active gives [ErrInvalidSession], all alike.
func (cat *Catalog) RotateSession(ctx context.Context, token tenancy.Secret, grace time.Duration) (
	Session, tenancy.Secret, error,
) {
	t, ok := parseRefreshToken(token.Reveal())
	if !ok {
		return Session{}, tenancy.Secret{}, ErrInvalidSession
	}
	var s Session
	var next tenancy.Secret
	reused := false
	err := cat.db.InTx(ctx, "rotate session", func(tx pgx.Tx) error {
		row, err := cat.lockSession(ctx, tx, t, grace)
		if err != nil {
			return err
		}
		s = row.Session
		reused = false
		switch {
		case t.counter == row.counter:
			next = signRefreshToken(row.secret, s, row.counter+1)
			_, err = tx.Exec(ctx, `UPDATE pgtenancy.sessions SET counter = counter + 1, rotated_at = now()
				WHERE id = $1`, s.ID)
		case t.counter == row.counter-1 && row.inGrace:
			next = signRefreshToken(row.secret, s, row.counter)
		default:
			// No error from here: it would roll the revocation back.
			reused = true
			_, err = tx.Exec(ctx, regdb.CloseSessions(`id = $1`), s.ID)
		}
		return err
	})
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	if reused {
		return Session{}, tenancy.Secret{}, ErrSessionReused
	}
	return s, next, nil
}

// sessionRow is a session whose row is locked.
type sessionRow struct {
	Session
	secret  []byte
	counter int64
	inGrace bool // of its last rotation
}

// lockSession returns the session that t is a token of, or refuses with ErrInvalidSession.
func (cat *Catalog) lockSession(ctx context.Context, tx pgx.Tx, t refreshToken, grace time.Duration) (
	*sessionRow, error,
) {
	row := &sessionRow{Session: Session{ID: t.session}}
	var sealed []byte
	err := tx.QueryRow(ctx, `SELECT tenant_id, admin_id, created_at, rotated_at, expires_at, idle, password_mark, secret,
			counter, now() < rotated_at + $2::interval
		FROM pgtenancy.sessions
		WHERE id = $1 AND `+sessionLives+` AND EXISTS (
			SELECT 1 FROM pgtenancy.tenants t WHERE t.id = sessions.tenant_id AND t.state = 'active')
		FOR UPDATE`, t.session, max(grace, 0)).
		Scan(&row.TenantID, &row.AdminID, &row.CreatedAt, &row.LastUsedAt, &row.ExpiresAt, &row.Idle, &row.mark, &sealed,
			&row.counter, &row.inGrace)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, regdb.Refuse(ErrInvalidSession)
	}
	if err != nil {
		return nil, err
	}
	if row.secret, err = cat.db.Open(ctx, sealed, "sessions", t.session, "secret"); err != nil {
		return nil, regdb.Refuse(err)
	}
	// Whoever only knows a session's id cannot end it: an older counter counts as a reuse only if the MAC is right. A
	// newer one comes from before a restore of the registry.
	if !t.signedBy(row.secret, row.Session) || t.counter > row.counter {
		return nil, regdb.Refuse(ErrInvalidSession)
	}
	row.inGrace = row.inGrace && grace > 0
	return row, nil
}
