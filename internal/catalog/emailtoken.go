package catalog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TokenKind is the one purpose of a token.
type TokenKind string

// The kinds of tokens.
const (
	TokenInvite TokenKind = "invite"
	TokenReset  TokenKind = "reset"
	TokenEmail  TokenKind = "email"
	TokenSignUp TokenKind = "sign-up"
)

// Token is what the registry keeps of a token that is sent by e-mail: a hash of it, and what it stands for. It prints
// its id and kind only.
type Token struct {
	ID        string
	Kind      TokenKind
	TenantID  tenancy.ID // empty: none; the token goes with its tenant
	AdminID   string     // empty: none; the token goes with its admin
	Data      []byte     `json:"-"` // the caller's own; sealed at rest
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Format implements [fmt.Formatter].
func (t Token) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "token %s (%s)", t.ID, string(t.Kind))
}

// tokenSize is 256 bits: its hash needs no salt and no work factor.
const tokenSize = 32

// PutToken makes a token that is good once, for ttl, and returns it; ID and times of t are filled in. Of an invitation
// it records the event. ctx governs the transaction.
func (cat *Catalog) PutToken(ctx context.Context, t *Token, ttl time.Duration) (tenancy.Secret, error) {
	t.ID = strings.ToLower(rand.Text())
	random := make([]byte, tokenSize)
	_, _ = rand.Read(random) // never fails
	secret := tenancy.NewSecret(base64.RawURLEncoding.EncodeToString(random))
	data, err := cat.db.Seal(ctx, t.Data, "tokens", t.ID, "data")
	if err != nil {
		return tenancy.Secret{}, err
	}
	note, err := cat.note(ctx, registry.EventInvited, "")
	if err != nil {
		return tenancy.Secret{}, err
	}
	note.TenantID, note.Object = t.TenantID, t.ID
	err = cat.db.InTx(ctx, "put token", func(tx pgx.Tx) error {
		if t.TenantID != "" {
			if err := lockActive(ctx, tx, t.TenantID); err != nil {
				return err
			}
		}
		if err := tx.QueryRow(ctx, `INSERT INTO pgtenancy.tokens (id, hash, kind, tenant_id, admin_id, data, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, now() + $7::interval) RETURNING created_at, expires_at`, t.ID,
			tokenHash(secret), string(t.Kind), nullable(string(t.TenantID)), nullable(t.AdminID), data, ttl).
			Scan(&t.CreatedAt, &t.ExpiresAt); err != nil {
			return err
		}
		if t.Kind != TokenInvite {
			return nil
		}
		return note.Write(ctx, tx)
	})
	return secret, err
}

func tokenHash(secret tenancy.Secret) []byte {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return sum[:]
}

const tokenColumns = `id, kind, coalesce(tenant_id, ''), coalesce(admin_id, ''), data, created_at, expires_at`

func (t *Token) fields() []any {
	return []any{&t.ID, &t.Kind, &t.TenantID, &t.AdminID, &t.Data, &t.CreatedAt, &t.ExpiresAt}
}

// Token returns what a token of that kind stands for, and leaves it good; [ErrInvalidToken] if it is unknown, of
// another kind, used or expired. ctx governs the query.
func (cat *Catalog) Token(ctx context.Context, kind TokenKind, secret tenancy.Secret) (Token, error) {
	var t Token
	err := cat.db.QueryRow(ctx, "token", `SELECT `+tokenColumns+` FROM pgtenancy.tokens
		WHERE hash = $1::bytea AND kind = $2::text AND expires_at > now()`, []any{tokenHash(secret), string(kind)},
		t.fields()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return Token{}, ErrInvalidToken
	}
	if err == nil {
		t.Data, err = cat.db.Open(ctx, t.Data, "tokens", t.ID, "data")
	}
	return t, err
}

// takeToken uses a token up, or refuses with ErrInvalidToken. The Data is sealed still.
func takeToken(ctx context.Context, tx pgx.Tx, kind TokenKind, secret tenancy.Secret) (Token, error) {
	var t Token
	err := tx.QueryRow(ctx, `DELETE FROM pgtenancy.tokens
		WHERE hash = $1::bytea AND kind = $2::text AND expires_at > now() RETURNING `+tokenColumns,
		tokenHash(secret), string(kind)).Scan(t.fields()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return Token{}, regdb.Refuse(ErrInvalidToken)
	}
	return t, err
}

// Invitations returns the invitations to a tenant that are good, the newest first; those that do not open are omitted,
// and their errors returned beside the others. ctx governs the query.
func (cat *Catalog) Invitations(ctx context.Context, id tenancy.ID) ([]Token, error) {
	var found []Token
	err := regdb.Retry(ctx, func() (err error) {
		rows, _ := cat.db.Pool.Query(ctx, `SELECT `+tokenColumns+` FROM pgtenancy.tokens
			WHERE tenant_id = $1 AND kind = 'invite' AND expires_at > now() ORDER BY created_at DESC, id`, id)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t Token, err error) {
			return t, row.Scan(t.fields()...)
		})
		return err
	})
	if err != nil {
		return nil, regdb.Redact("invitations", err)
	}
	var tokens []Token
	var errs []error
	for _, t := range found {
		if t.Data, err = cat.db.Open(ctx, t.Data, "tokens", t.ID, "data"); err != nil {
			errs = append(errs, err)
			continue
		}
		tokens = append(tokens, t)
	}
	return tokens, errors.Join(errs...)
}

// RevokeInvitation makes an invitation to that tenant worthless. An unknown one is no error. ctx governs the
// transaction.
func (cat *Catalog) RevokeInvitation(ctx context.Context, id tenancy.ID, tokenID string) error {
	note, err := cat.note(ctx, registry.EventInvitationRevoked, "")
	if err != nil {
		return err
	}
	note.TenantID, note.Object = id, tokenID
	return cat.db.InTx(ctx, "revoke invitation", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM pgtenancy.tokens WHERE id = $1 AND tenant_id = $2 AND kind = 'invite'`,
			tokenID, id)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return note.Write(ctx, tx)
	})
}

// DeleteToken uses a token up without doing what it stands for. ctx governs the statement.
func (cat *Catalog) DeleteToken(ctx context.Context, tokenID string) error {
	_, err := cat.db.Exec(ctx, "delete token", `DELETE FROM pgtenancy.tokens WHERE id = $1`, tokenID)
	return err
}

// SweepTokens deletes what has expired of tokens. ctx governs the statement.
func (cat *Catalog) SweepTokens(ctx context.Context) error {
	_, err := cat.db.Exec(ctx, "sweep tokens", `DELETE FROM pgtenancy.tokens WHERE expires_at <= now()`)
	return err
}
