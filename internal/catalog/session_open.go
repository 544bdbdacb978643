package catalog

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

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
// sessions of one admin the oldest are closed. It returns [ErrAdminNotFound] if the tenant has no such admin, and a
// *[tenancy.StateError] if it is not active. ctx governs the whole of it.
func (cat *Catalog) OpenSession(ctx context.Context, req SessionRequest) (Session, tenancy.Secret, error) {
	const sql = `
WITH opened AS (
	INSERT INTO pgtenancy.sessions (id, tenant_id, admin_id, secret, counter, expires_at, idle, password_mark, client)
	SELECT $3, t.id, a.id, $4, 1, now() + $5::interval, $6::interval, $7::text, $8::bytea
	FROM pgtenancy.tenants t JOIN pgtenancy.admins a ON a.tenant_id = t.id
	WHERE t.id = $1 AND a.id = $2 AND t.state = 'active'
	RETURNING created_at, expires_at
)
SELECT t.state, o.created_at, o.expires_at, (SELECT count(*) FROM pgtenancy.sessions WHERE admin_id = $2)
FROM pgtenancy.tenants t JOIN pgtenancy.admins a ON a.tenant_id = t.id LEFT JOIN opened o ON true
WHERE t.id = $1 AND a.id = $2`
	id, adminID := tenancy.ID(strings.Clone(string(req.TenantID))), strings.Clone(req.AdminID) // the Session keeps them, and a StateError
	s := Session{
		ID: strings.ToLower(rand.Text()), TenantID: id, AdminID: adminID, Idle: cmp.Or(req.Idle, req.TTL),
		mark: passwordMark(req.PasswordHash),
	}
	secret := newSessionSecret()
	sealed, err := cat.db.Seal(ctx, secret, "sessions", s.ID, "secret")
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	client, err := cat.sealClient(ctx, s.ID, req.Client)
	if err != nil {
		return Session{}, tenancy.Secret{}, err
	}
	var state tenancy.State
	var created, expires *time.Time
	var others int
	err = cat.db.QueryRow(ctx, fmt.Sprintf("open session of tenant %q", id), sql,
		[]any{id, adminID, s.ID, sealed, req.TTL, s.Idle, s.mark, client}, &state, &created, &expires, &others)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Session{}, tenancy.Secret{}, fmt.Errorf("%w: %q of tenant %q", registry.ErrAdminNotFound, adminID, id)
	case err != nil:
		return Session{}, tenancy.Secret{}, err
	case created == nil:
		return Session{}, tenancy.Secret{}, &tenancy.StateError{ID: id, State: state}
	}
	if others >= maxSessions {
		_, err = cat.db.Exec(ctx, fmt.Sprintf("close old sessions of tenant %q", id), regdb.CloseSessions(`id IN (
			SELECT id FROM pgtenancy.sessions WHERE admin_id = $1 ORDER BY created_at DESC, id OFFSET $2)`), adminID, maxSessions)
		if err != nil {
			return Session{}, tenancy.Secret{}, err
		}
	}
	s.CreatedAt, s.LastUsedAt, s.ExpiresAt = *created, *created, *expires
	return s, signRefreshToken(secret, s, 1), nil
}
