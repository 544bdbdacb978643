package catalog

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
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
	return slog.GroupValue(slog.String("id", s.ID), slog.String("tenant", string(s.TenantID)),
		slog.String("admin", s.AdminID))
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
	note, err := cat.note(ctx, registry.EventSessionsClosed, "refresh token used again")
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	var s Session
	var next tenancy.Secret
	reused := false
	err = cat.db.InTx(ctx, "rotate session", func(tx pgx.Tx) error {
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
			err = closeSessions(ctx, tx, note, `id = $1`, s.ID)
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
	// Knowing a session's id is not enough to end it: an older counter is a reuse only if the MAC is right. A newer
	// counter was issued before the registry was restored from a backup.
	if !t.signedBy(row.secret, row.Session) || t.counter > row.counter {
		return nil, regdb.Refuse(ErrInvalidSession)
	}
	row.inGrace = row.inGrace && grace > 0
	return row, nil
}

// SessionRequest is what a session is opened for.
type SessionRequest struct {
	TenantID tenancy.ID
	AdminID  string
	TTL      time.Duration // how long it lives at most
	Idle     time.Duration // how long it lives without use; 0: as long as TTL

	// PasswordHash is the hash that the admin's password was compared with. See Session.OpenedWith. Empty: not known.
	PasswordHash string `json:"-"`

	// Client is kept, sealed, for Sessions.
	Client Client
}

// Format implements [fmt.Formatter]: under every verb a request shows its tenant and admin.
func (req SessionRequest) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "session of admin %s of tenant %q", req.AdminID, string(req.TenantID))
}

// maxSessions is how many sessions an admin has at once.
const maxSessions = 100

// OpenSession makes a session of an admin of an active tenant, and its first refresh token. Of more than a hundred
// sessions of one admin the oldest are closed. It returns [registry.ErrAdminNotFound] if the tenant has no such admin,
// and a
// *[tenancy.StateError] if it is not active. ctx governs the whole of it.
func (cat *Catalog) OpenSession(ctx context.Context, req SessionRequest) (Session, tenancy.Secret, error) {
	const sql = `
WITH opened AS (
	INSERT INTO pgtenancy.sessions (id, tenant_id, admin_id, secret, counter, expires_at, idle, password_mark, client)
	SELECT $3, t.id, a.id, $4, 1, now() + $5::interval, $6::interval, $7::text, $8::bytea
	FROM pgtenancy.tenants t JOIN pgtenancy.admins a ON a.tenant_id = t.id
	WHERE t.id = $1 AND a.id = $2 AND t.state = 'active' AND ` + notLeaving + `
	RETURNING created_at, expires_at
)
SELECT t.state, o.created_at, o.expires_at, (SELECT count(*) FROM pgtenancy.sessions WHERE admin_id = $2)
FROM pgtenancy.tenants t JOIN pgtenancy.admins a ON a.tenant_id = t.id LEFT JOIN opened o ON true
WHERE t.id = $1 AND a.id = $2 AND ` + notLeaving
	// The Session keeps them, and a StateError.
	id, adminID := tenancy.ID(strings.Clone(string(req.TenantID))), strings.Clone(req.AdminID)
	s := Session{
		ID: strings.ToLower(rand.Text()), TenantID: id, AdminID: adminID, Idle: cmp.Or(req.Idle, req.TTL),
		mark: passwordMark(req.PasswordHash),
	}
	secret := newSessionSecret()
	sealed, err := cat.db.Seal(ctx, secret, "sessions", s.ID, "secret")
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	client, err := cat.db.SealClient(ctx, "sessions", s.ID, regdb.Client(req.Client))
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	opened, err := cat.note(ctx, registry.EventSessionOpened, "")
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	closed, err := cat.note(ctx, registry.EventSessionsClosed, "too many")
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	opened.TenantID, opened.AdminID, opened.Object = id, adminID, s.ID
	var created, expires *time.Time
	err = cat.db.InTx(ctx, fmt.Sprintf("open session of tenant %q", id), func(tx pgx.Tx) error {
		var state tenancy.State
		var others int
		err := tx.QueryRow(ctx, sql, id, adminID, s.ID, sealed, req.TTL, s.Idle, s.mark, client).
			Scan(&state, &created, &expires, &others)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return regdb.Refuse(fmt.Errorf("%w: %q of tenant %q", registry.ErrAdminNotFound, adminID, id))
		case err != nil:
			return err
		case created == nil:
			return regdb.Refuse(&tenancy.StateError{ID: id, State: state})
		}
		if others >= maxSessions {
			if err := closeSessions(ctx, tx, closed, `id IN (
				SELECT id FROM pgtenancy.sessions WHERE admin_id = $1 ORDER BY created_at DESC, id OFFSET $2)`,
				adminID, maxSessions); err != nil {
				return err
			}
		}
		return opened.Write(ctx, tx)
	})
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	s.CreatedAt, s.LastUsedAt, s.ExpiresAt = *created, *created, *expires
	return s, signRefreshToken(secret, s, 1), nil
}

// Client is what a session was opened from, as far as the caller says. It prints nothing of it.
type Client struct {
	Addr      netip.Addr `json:"-"` // the zero Addr: unknown
	UserAgent string     `json:"-"` // of which the first 256 bytes are kept
}

// Format implements [fmt.Formatter]: an address is personal data.
func (Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("a client")) }
