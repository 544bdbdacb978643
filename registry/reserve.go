package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// RolePrimary is the role of the admin who signed a tenant up.
const RolePrimary = "PRIMARY"

// Reservation is what the intent transaction writes. It prints its tenant's id only.
type Reservation struct {
	ID           tenancy.ID
	Database     string
	Role         string
	Password     tenancy.Secret // the role's; sealed at rest
	SchemaHash   string
	Server       string    // empty: Place chooses
	Place        Placement `json:"-"` // nil: the emptiest by weight
	Organization Organization
	Admin        Admin  // ID and Email are required; an empty Role is RolePrimary
	Data         []byte `json:"-"` // sealed at rest

	Step string      // the first step of the sign-up, recorded
	Warm *WarmChoice `json:"-"` // nil: take no warm database

	IdempotencyKey string // empty: none; at most 255 bytes
	RequestHash    []byte `json:"-"` // of what was asked for under that key; sealed at rest, for such hashes can be guessed

	Owner string
	TTL   time.Duration // of the claim
}

// Format implements [fmt.Formatter]: under every verb a reservation shows its tenant's id.
func (res Reservation) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "reservation of tenant %q", string(res.ID))
}

// LogValue implements [slog.LogValuer].
func (res Reservation) LogValue() slog.Value {
	return slog.GroupValue(slog.String("tenant", string(res.ID)))
}

// ReplayError says that the same request was made before, and which tenant it made.
type ReplayError struct {
	TenantID tenancy.ID
	State    tenancy.State
}

// Error names the tenant and its state.
func (e *ReplayError) Error() string {
	return fmt.Sprintf("registry: request was made before: tenant %q is %s", string(e.TenantID), string(e.State))
}

// WarmChoice has Reserve take a warm database of the reservation's schema, if there is one on the chosen server that
// nobody else is just taking. Its id, names and password then replace the reservation's.
type WarmChoice struct {
	Prefer []tenancy.ID // these first; else the one that was made first
	Step   string       // the first step of a sign-up that got one, recorded
}

// Reserve writes the intent of a new tenant in one transaction, which ctx governs: organization, tenant
// (provisioning), admin and blind index row. It returns [ErrEmailTaken], [ErrIDTaken] or [ErrNoServer]; or
// *[ReplayError] when the idempotency key is known with the same request hash, [ErrKeyReused] when with another. A
// key is known as long as its tenant is there, and after a failed sign-up for a day: then the state is failing, whether or
// not the sign-up has been forgotten.
//
// The caller owns the claim, and must Extend it, and end it by Activate, Fail or Yield.
func (r *Registry) Reserve(ctx context.Context, res Reservation) (*Claim, error) {
	if res.Admin.Role == "" {
		res.Admin.Role = RolePrimary
	}
	if err := res.validate(); err != nil {
		return nil, err
	}
	op := fmt.Sprintf("reserve tenant %q", res.ID)
	var claim *Claim
	taken := "" // the unique constraint that was violated
	err := r.inTx(ctx, op, func(tx pgx.Tx) (err error) {
		taken = ""
		if err = r.replayed(ctx, tx, &res); err != nil {
			return err
		}
		claim, err = r.insertReservation(ctx, tx, res)
		taken = violated(err)
		return err
	})
	if taken != "" {
		return nil, r.taken(ctx, &res, taken, err)
	}
	if err != nil {
		return nil, err
	}
	return claim, nil
}

// taken says what a violated constraint means. The key comes first: another Reserve with the same key may have
// committed after this one looked, and then this is a replay, whatever else they have in common.
func (r *Registry) taken(ctx context.Context, res *Reservation, constraint string, err error) error {
	again := r.inTx(ctx, fmt.Sprintf("reserve tenant %q", res.ID), func(tx pgx.Tx) error {
		return r.replayed(ctx, tx, res)
	})
	if again != nil {
		return again
	}
	switch constraint {
	case "admin_email_index_bidx_key":
		return ErrEmailTaken
	case "tenants_pkey", "tenants_database_key":
		return fmt.Errorf("%w: %q", ErrIDTaken, res.ID)
	}
	return err
}

// replayed refuses a reservation whose idempotency key is known.
func (r *Registry) replayed(ctx context.Context, tx pgx.Tx, res *Reservation) error {
	if res.IdempotencyKey == "" {
		return nil
	}
	var replay ReplayError
	var sealed []byte
	err := tx.QueryRow(ctx, `
		SELECT id, state, request_hash FROM (
			SELECT id, state, request_hash, now() AS at FROM pgtenancy.tenants WHERE idempotency_key = $1
			UNION ALL SELECT id, 'failing', request_hash, retired_at FROM pgtenancy.retired_ids
				WHERE idempotency_key = $1 AND retired_at > now() - interval '24 hours'
		) known ORDER BY at DESC LIMIT 1`, res.IdempotencyKey).Scan(&replay.TenantID, &replay.State, &sealed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	hash, err := r.keys.open(ctx, sealed, "tenants", string(replay.TenantID), "request_hash")
	switch {
	case err != nil:
		return refuse(err)
	case !bytes.Equal(hash, res.RequestHash):
		return refuse(ErrKeyReused)
	}
	return refuse(&replay)
}

// insertReservation writes everything in one round trip, once it is known where and under which id.
func (r *Registry) insertReservation(ctx context.Context, tx pgx.Tx, res Reservation) (*Claim, error) {
	server, err := place(ctx, tx, &res)
	if err != nil {
		return nil, err
	}
	b := new(pgx.Batch)
	b.Queue(`UPDATE pgtenancy.servers SET tenants = tenants + 1 WHERE name = $1`, server)
	password, warm, err := r.takeWarm(ctx, tx, b, server, &res)
	if err != nil {
		return nil, err
	}
	if err := r.insertTenant(ctx, b, &res, server, password); err != nil {
		return nil, refuse(err)
	}
	if err := r.insertOrganization(ctx, b, res.ID, res.Organization); err != nil {
		return nil, refuse(err)
	}
	if err := r.insertAdmin(ctx, b, res.ID, res.Admin); err != nil {
		return nil, refuse(err)
	}
	b.Queue(`WITH changed AS (SELECT id, epoch FROM pgtenancy.tenants WHERE id = $1)`+announce, res.ID)
	var claim *Claim
	b.Queue(claimed, res.ID).QueryRow(func(row pgx.Row) (err error) {
		claim, err = r.scanClaim(ctx, row, res.ID, res.Owner)
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	claim.Warm = warm
	return claim, nil
}

// insertTenant writes the tenant's row. password is that of a warm database, sealed; nil: there is none.
func (r *Registry) insertTenant(ctx context.Context, b *pgx.Batch, res *Reservation, server string, password []byte) error {
	const insert = `
INSERT INTO pgtenancy.tenants (id, state, epoch, server, database, role_name, password, schema_hash, data,
	attempt, claim_owner, claim_expires, step, idempotency_key, request_hash)
VALUES ($1, 'provisioning', 1, $2, $3, $4, $5, $6, $7, 1, $8, now() + $9::interval, $10, $11, $12)`
	row := string(res.ID)
	var data []byte
	var err error
	if res.Data != nil {
		if data, err = r.keys.seal(ctx, res.Data, "tenants", row, "data"); err != nil {
			return err
		}
	}
	hash, err := r.keys.seal(ctx, res.RequestHash, "tenants", row, "request_hash")
	if err != nil {
		return err
	}
	if password == nil {
		if password, err = r.keys.seal(ctx, []byte(res.Password.Reveal()), "tenants", row, "password"); err != nil {
			return err
		}
	}
	b.Queue(insert, res.ID, server, res.Database, res.Role, password, res.SchemaHash, data, res.Owner, res.TTL,
		res.Step, nullable(res.IdempotencyKey), hash)
	// After the insert: it waits for a Forget of this id that is under way, whose mark is then there to be seen.
	b.Queue(`SELECT EXISTS (SELECT 1 FROM pgtenancy.retired_ids WHERE id = $1)
		OR EXISTS (SELECT 1 FROM pgtenancy.warm_databases WHERE id = $1)`, res.ID,
	).QueryRow(func(row pgx.Row) error {
		var used bool
		err := row.Scan(&used)
		if err == nil && used {
			err = refuse(fmt.Errorf("%w: %q", ErrIDTaken, res.ID))
		}
		return err
	})
	return nil
}

func (r *Registry) insertOrganization(ctx context.Context, b *pgx.Batch, id tenancy.ID, o Organization) error {
	var email []byte
	if !o.Email.IsZero() {
		var err error
		if email, err = r.keys.seal(ctx, []byte(o.Email.Reveal()), "organizations", string(id), "email"); err != nil {
			return err
		}
	}
	var trialEndsAt *time.Time
	if !o.TrialEndsAt.IsZero() {
		trialEndsAt = &o.TrialEndsAt
	}
	b.Queue(`INSERT INTO pgtenancy.organizations (id, name, email, billing_customer, trial_ends_at)
		VALUES ($1, $2, $3, $4, $5)`, id, o.Name, email, o.BillingCustomer, trialEndsAt)
	return nil
}

func (res *Reservation) validate() error {
	var errs []error
	refuse := func(wrong bool, message string) {
		if wrong {
			errs = append(errs, errors.New("registry: Reservation."+message))
		}
	}
	refuse(!res.ID.Valid(), "ID: must be a valid tenant id")
	refuse(res.Database == "", "Database: must be set")
	refuse(res.Role == "", "Role: must be set")
	refuse(res.Admin.ID == "", "Admin.ID: must be set")
	refuse(res.Admin.Email.IsZero(), "Admin.Email: must be set")
	refuse(res.Owner == "", "Owner: must be set")
	refuse(res.TTL <= 0, "TTL: must be positive")
	refuse(len(res.IdempotencyKey) > 255 || !storable(res.IdempotencyKey),
		"IdempotencyKey: must be UTF-8 without NUL, of at most 255 bytes")
	refuse(!storable(res.Organization.Name), "Organization.Name: must be UTF-8 without NUL")
	return errors.Join(errs...)
}

// storable reports whether PostgreSQL can keep s as text.
func storable(s string) bool {
	return utf8.ValidString(s) && !bytes.ContainsRune([]byte(s), 0)
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
