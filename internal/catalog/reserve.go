package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/internal/status"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Reservation is what the intent transaction writes. It prints its tenant's id only.
type Reservation struct {
	ID           tenancy.ID
	Database     string
	Role         string
	Password     tenancy.Secret // the role's; sealed at rest
	SchemaHash   string
	Server       string             // empty: Place chooses
	Place        registry.Placement `json:"-"` // nil: the emptiest by weight
	Organization registry.Organization
	Aliases      []string
	Labels       map[string]string
	Admin        registry.Admin // zero: none; else ID and Email are required, and an empty Role is RolePrimary
	Data         []byte         `json:"-"` // sealed at rest

	Step string      // the first step of the sign-up, recorded
	Warm *WarmChoice `json:"-"` // nil: take no warm database

	Adopted    bool   // the database is there, on Server, in any state of that
	SharedRole bool   // see registry.Tenant
	Before     []byte `json:"-"` // see Claim; sealed at rest

	IdempotencyKey string // empty: none; at most 255 bytes
	RequestHash    []byte `json:"-"` // of the request under that key; sealed at rest, because it can be guessed

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

// HTTPStatus is 409, for middleware.StatusCode.
func (*ReplayError) HTTPStatus() int { return status.Conflict }

// WarmChoice has Reserve take a warm database of the reservation's schema, if the chosen server has a database that no
// other reservation has locked. Its id, names and password then replace the reservation's.
type WarmChoice struct {
	Prefer []tenancy.ID // these first; else the oldest
	Step   string       // the first step of a sign-up that got one, recorded
}

// Reserve writes the intent of a new tenant in one transaction, which ctx governs: organization, tenant
// (provisioning), admin and blind index row. It returns [registry.ErrEmailTaken], [registry.ErrEmailBusy],
// [registry.ErrIDTaken] or [registry.ErrNoServer]; or *[ReplayError] when the idempotency key is known with the same
// request hash, [registry.ErrKeyReused] when with another. A key is known while the sign-up is under way, and for a
// day after it has ended. After a failed sign-up the state is failing, whether or not the sign-up has been forgotten.
// A sign-up that was aborted leaves no key (see Abort).
//
// The caller owns the claim, and must Extend it, and end it by Activate, Fail, Abort or ReleaseClaim.
func (cat *Catalog) Reserve(ctx context.Context, res Reservation) (*Claim, error) {
	if res.hasAdmin() && res.Admin.Role == "" {
		res.Admin.Role = registry.RolePrimary
	}
	if err := res.validate(); err != nil {
		return nil, err
	}
	res = res.clone()
	var claim *Claim
	taken := "" // the unique constraint that was violated
	err := cat.withIntent(ctx, &res, func(in *intent) (err error) {
		claim, err = in.write(ctx)
		taken = pgerr.Violated(err)
		return err
	})
	if taken != "" {
		return nil, cat.taken(ctx, &res, taken, err)
	}
	if err != nil {
		return nil, err
	}
	return claim, nil
}

// taken says what a violated constraint means. The key comes first: another Reserve with the same key may have
// committed after this one looked. This one is then a replay, even if they also share other values.
func (cat *Catalog) taken(ctx context.Context, res *Reservation, constraint string, err error) error {
	if again := cat.withIntent(ctx, res, func(*intent) error { return nil }); again != nil {
		return again
	}
	switch constraint {
	case "admin_email_index_bidx_key":
		return cat.emailTaken(ctx, res.Admin.Email)
	case "aliases_pkey":
		return registry.ErrAliasTaken
	case "tenants_pkey", "tenants_database_key":
		return fmt.Errorf("%w: %q", registry.ErrIDTaken, res.ID)
	}
	return err
}

// emailTaken says whether there is an account, or only may be one or was one.
func (cat *Catalog) emailTaken(ctx context.Context, e registry.Email) error {
	var values [][]byte
	for _, b := range emailIndex(cat.db, e) {
		values = append(values, b.Sum)
	}
	var taken bool
	err := cat.db.QueryRow(ctx, "look for the e-mail's tenant", `SELECT EXISTS (
		SELECT 1 FROM pgtenancy.admin_email_index i JOIN pgtenancy.tenants t ON t.id = i.tenant_id
		WHERE i.bidx = ANY($1::bytea[]) AND t.state NOT IN ('provisioning', 'failing', 'deleting'))`, []any{values}, &taken)
	switch {
	case err != nil:
		return err
	case taken:
		return registry.ErrEmailTaken
	}
	return registry.ErrEmailBusy
}

func (in *intent) insertOrganization(ctx context.Context, b *pgx.Batch, id tenancy.ID, o registry.Organization) error {
	var email []byte
	if !o.Email.IsZero() {
		var err error
		if email, err = in.db.Seal(ctx, []byte(o.Email.Reveal()), "organizations", string(id), "email"); err != nil {
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

// insertAdmin writes an admin and their rows of the blind index, one for each key of the ring. Two processes with
// different rings still meet at the unique constraint, by a key in both, during a change of keys too; no look-up before
// the insert could promise that.
func insertAdmin(ctx context.Context, db *regdb.DB, b *pgx.Batch, id tenancy.ID, a registry.Admin) error {
	email, err := db.Seal(ctx, []byte(a.Email.Reveal()), "admins", a.ID, "email")
	if err != nil {
		return err
	}
	b.Queue(`INSERT INTO pgtenancy.admins (id, tenant_id, email, password_hash, role)
		VALUES ($1, $2, $3, $4, $5)`, a.ID, id, email, a.PasswordHash, a.Role)
	values := emailIndex(db, a.Email)
	if len(values) == 0 {
		return registry.ErrNoIndexKey
	}
	for _, v := range values {
		b.Queue(indexEmail, a.ID, v.KeyID, v.Sum, id, db.SharedEmails)
	}
	return nil
}

// indexEmail writes a row of the blind index. Where the e-mail is in another tenant's already, or in this tenant's, and
// must not be, the row takes the scope of the one that is there, and violates the unique constraint.
const indexEmail = `
INSERT INTO pgtenancy.admin_email_index (admin_id, kid, bidx, tenant_id, scope)
SELECT $1::text, $2::bigint, $3::bytea, $4::text, coalesce(
	(SELECT i.scope FROM pgtenancy.admin_email_index i
	 WHERE i.bidx = $3::bytea AND (i.tenant_id = $4::text OR NOT $5::boolean) LIMIT 1),
	CASE WHEN $5::boolean THEN $4::text ELSE '' END)`

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
	refuse(res.hasAdmin() && res.Admin.ID == "", "Admin.ID: must be set")
	refuse(res.hasAdmin() && res.Admin.Email.IsZero(), "Admin.Email: must be set")
	refuse(res.Owner == "", "Owner: must be set")
	refuse(res.TTL <= 0, "TTL: must be positive")
	refuse(len(res.IdempotencyKey) > 255 || !regdb.Storable(res.IdempotencyKey),
		"IdempotencyKey: must be UTF-8 without NUL, of at most 255 bytes")
	refuse(!regdb.Storable(res.Organization.Name), "Organization.Name: must be UTF-8 without NUL")
	for _, alias := range res.Aliases {
		errs = append(errs, registry.CheckAlias(alias))
	}
	return errors.Join(append(errs, registry.CheckLabels(res.Labels))...)
}

// hasAdmin reports whether the tenant is to have an admin.
func (res *Reservation) hasAdmin() bool { return res.Admin != registry.Admin{} }

// clone returns a copy of res that shares no memory with it but Place and Warm: the Claim keeps the rest.
func (res Reservation) clone() Reservation {
	for _, s := range []*string{
		(*string)(&res.ID), &res.Database, &res.Role, &res.SchemaHash, &res.Server, &res.Organization.Name,
		&res.Organization.BillingCustomer, &res.Admin.ID, &res.Admin.PasswordHash, &res.Admin.Role, &res.Step, &res.Owner,
	} {
		*s = strings.Clone(*s)
	}
	res.Data = bytes.Clone(res.Data)
	res.Aliases = cloneStrings(res.Aliases)
	res.Labels = cloneLabels(res.Labels)
	return res
}

func cloneStrings(list []string) []string {
	clone := make([]string, len(list))
	for i, s := range list {
		clone[i] = strings.Clone(s)
	}
	slices.Sort(clone) // in one order everywhere, so that two reservations cannot wait for each other
	return slices.Compact(clone)
}

func cloneLabels(labels map[string]string) map[string]string {
	clone := make(map[string]string, len(labels))
	for k, v := range labels {
		clone[strings.Clone(k)] = strings.Clone(v)
	}
	return clone
}

// emailIndex returns e's values in the blind index.
func emailIndex(db *regdb.DB, e registry.Email) []keyring.MAC {
	normalized, _ := regdb.NormalizeEmail(e.Reveal())
	return db.EmailIndex(normalized)
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// emptiest is the default Placement: the fewest tenants for its weight, the first by name among equals.
func emptiest(servers []registry.Server) (string, error) {
	best := servers[0]
	for _, s := range servers[1:] {
		if s.Tenants*best.Weight < best.Tenants*s.Weight {
			best = s
		}
	}
	return best.Name, nil
}

// choose returns the server of a new tenant, which is then to be counted there.
func choose(servers []registry.Server, res *Reservation) (registry.Server, error) {
	var roomy []registry.Server
	refused := registry.ErrNoServer
	for _, s := range servers {
		switch err := s.Verify(); {
		case err != nil:
			refused = err
		case res.Adopted || s.Capacity == 0 || s.Tenants < s.Capacity:
			roomy = append(roomy, s)
		}
	}
	if len(roomy) == 0 {
		return registry.Server{}, refused
	}
	choice := res.Place
	if choice == nil {
		choice = emptiest
	}
	name, err := choice(roomy)
	if err != nil {
		return registry.Server{}, err
	}
	for _, s := range roomy {
		if s.Name == name {
			return s, nil
		}
	}
	return registry.Server{}, fmt.Errorf("registry: placement chose server %q, which was not offered", name)
}
