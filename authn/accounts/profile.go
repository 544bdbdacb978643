package accounts

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Profile is an admin as the tenant's own database knows them. It prints its id and role only.
type Profile struct {
	ID           string
	Email        string
	FirstName    string
	LastName     string
	Role         string
	PasswordHash string
}

// Format implements [fmt.Formatter]: under every verb a profile shows its id and role and no personal data.
func (p Profile) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "admin %s (%s)", p.ID, p.Role) }

// LogValue implements [slog.LogValuer].
func (p Profile) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", p.ID), slog.String("role", p.Role))
}

// Profiles reads and writes admins in a tenant's database. [Table] is the usual one; write another to keep admins in a
// table of your own shape. ctx governs the whole of each call.
type Profiles interface {
	// Insert adds p. Inserting an id that is there already changes nothing and is no error.
	Insert(ctx context.Context, tx pgx.Tx, p Profile) error

	// Find returns the admin with the given id, or ErrProfileNotFound.
	Find(ctx context.Context, db *pgxpool.Pool, adminID string) (Profile, error)

	// SetPassword replaces the password hash if it still is oldHash; ErrPasswordChanged if not.
	SetPassword(ctx context.Context, db *pgxpool.Pool, adminID, oldHash, newHash string) error
}

// ProfileEditor is what Config.Profiles has too if admins are to be changed and removed; [Table] is one. Each call
// returns ErrProfileNotFound if there is no such admin. ctx governs the whole of each call.
type ProfileEditor interface {
	SetRole(ctx context.Context, db *pgxpool.Pool, adminID, role string) error
	SetEmail(ctx context.Context, db *pgxpool.Pool, adminID, email string) error

	// Delete removes an admin, or what is known of them as a person where other rows refer to the row.
	Delete(ctx context.Context, db *pgxpool.Pool, adminID string) error
}

// Client is from where a request came, as far as the caller knows. It prints nothing of it.
type Client struct {
	Addr      netip.Addr `json:"-"` // the zero Addr: unknown
	UserAgent string     `json:"-"` // of which the first 256 bytes are kept
}

// Format implements [fmt.Formatter]: an address is personal data.
func (Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("a client")) }
