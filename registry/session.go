package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Session is the time in which an admin stays signed in.
type Session struct {
	ID        string
	TenantID  tenancy.ID
	AdminID   string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// maxSessions is how many sessions an admin has at once.
const maxSessions = 100

// OpenSession makes a session of an admin of an active tenant that lives for ttl at most, and its first refresh token. Of
// more than a hundred sessions of one admin the oldest are closed. It returns [ErrAdminNotFound] if the tenant has no such admin, and a *[tenancy.StateError] if it is not active. ctx
// governs the whole of it.
func (r *Registry) OpenSession(ctx context.Context, id tenancy.ID, adminID string, ttl time.Duration) (
	Session, tenancy.Secret, error,
) {
	const sql = `
WITH opened AS (
	INSERT INTO pgtenancy.sessions (id, tenant_id, admin_id, secret, counter, expires_at)
	SELECT $3, t.id, a.id, $4, 1, now() + $5::interval
	FROM pgtenancy.tenants t JOIN pgtenancy.admins a ON a.tenant_id = t.id
	WHERE t.id = $1 AND a.id = $2 AND t.state = 'active'
	RETURNING created_at, expires_at
)
SELECT t.state, o.created_at, o.expires_at, (SELECT count(*) FROM pgtenancy.sessions WHERE admin_id = $2)
FROM pgtenancy.tenants t JOIN pgtenancy.admins a ON a.tenant_id = t.id LEFT JOIN opened o ON true
WHERE t.id = $1 AND a.id = $2`
	id, adminID = tenancy.ID(strings.Clone(string(id))), strings.Clone(adminID) // the Session keeps them, and a StateError
	s := Session{ID: strings.ToLower(rand.Text()), TenantID: id, AdminID: adminID}
	secret := newSessionSecret()
	sealed, err := r.keys.seal(ctx, secret, "sessions", s.ID, "secret")
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	var state tenancy.State
	var created, expires *time.Time
	var others int
	err = r.queryRow(ctx, fmt.Sprintf("open session of tenant %q", id), sql,
		[]any{id, adminID, s.ID, sealed, ttl}, &state, &created, &expires, &others)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Session{}, tenancy.Secret{}, fmt.Errorf("%w: %q of tenant %q", ErrAdminNotFound, adminID, id)
	case err != nil:
		return Session{}, tenancy.Secret{}, err
	case created == nil:
		return Session{}, tenancy.Secret{}, &tenancy.StateError{ID: id, State: state}
	}
	if others >= maxSessions {
		_, err = r.exec(ctx, fmt.Sprintf("close old sessions of tenant %q", id), closeSessions(`id IN (
			SELECT id FROM pgtenancy.sessions WHERE admin_id = $1 ORDER BY created_at DESC, id OFFSET $2)`), adminID, maxSessions)
		if err != nil {
			return Session{}, tenancy.Secret{}, err
		}
	}
	s.CreatedAt, s.ExpiresAt = *created, *expires
	return s, signRefreshToken(secret, s, 1), nil
}

// RotateSession exchanges a refresh token for its successor, in one transaction that ctx governs. Within grace of a
// rotation the token before gives the same successor again, for a client that lost the answer. An older one revokes
// the session, and the revocation commits: [ErrSessionReused]. A token that is unknown, malformed, expired, revoked,
// or of a tenant that is not active gives [ErrInvalidSession], all alike.
func (r *Registry) RotateSession(ctx context.Context, token tenancy.Secret, grace time.Duration) (
	Session, tenancy.Secret, error,
) {
	t, ok := parseRefreshToken(token.Reveal())
	if !ok {
		return Session{}, tenancy.Secret{}, ErrInvalidSession
	}
	var s Session
	var next tenancy.Secret
	reused := false
	err := r.inTx(ctx, "rotate session", func(tx pgx.Tx) error {
		row, err := r.lockSession(ctx, tx, t, grace)
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
			_, err = tx.Exec(ctx, closeSessions(`id = $1`), s.ID)
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
func (r *Registry) lockSession(ctx context.Context, tx pgx.Tx, t refreshToken, grace time.Duration) (
	*sessionRow, error,
) {
	row := &sessionRow{Session: Session{ID: t.session}}
	var sealed []byte
	err := tx.QueryRow(ctx, `SELECT tenant_id, admin_id, created_at, expires_at, secret, counter,
			now() < rotated_at + $2::interval
		FROM pgtenancy.sessions
		WHERE id = $1 AND expires_at > now() AND EXISTS (
			SELECT 1 FROM pgtenancy.tenants t WHERE t.id = sessions.tenant_id AND t.state = 'active')
		FOR UPDATE`, t.session, max(grace, 0)).
		Scan(&row.TenantID, &row.AdminID, &row.CreatedAt, &row.ExpiresAt, &sealed, &row.counter, &row.inGrace)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, refuse(ErrInvalidSession)
	}
	if err != nil {
		return nil, err
	}
	if row.secret, err = r.keys.open(ctx, sealed, "sessions", t.session, "secret"); err != nil {
		return nil, refuse(err)
	}
	// Whoever only knows a session's id cannot end it: an older counter counts as a reuse only if the MAC is right. A
	// newer one comes from before a restore of the registry.
	if !t.signedBy(row.secret, row.Session) || t.counter > row.counter {
		return nil, refuse(ErrInvalidSession)
	}
	row.inGrace = row.inGrace && grace > 0
	return row, nil
}

// CloseSession revokes a session, and tells whoever follows. One that is not there is no error. ctx governs the
// statement.
func (r *Registry) CloseSession(ctx context.Context, sessionID string) error {
	_, err := r.exec(ctx, "close session", closeSessions(`id = $1`), sessionID)
	return err
}

// CloseSessions revokes all sessions of an admin but one (empty: none is spared), and tells whoever follows. ctx
// governs the statement.
func (r *Registry) CloseSessions(ctx context.Context, adminID, except string) error {
	_, err := r.exec(ctx, fmt.Sprintf("close sessions of admin %q", adminID),
		closeSessions(`admin_id = $1 AND id <> $2`), adminID, except)
	return err
}
