package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Organization is the business record of a tenant; it has the tenant's id.
type Organization struct {
	Name            string
	Email           Email // contact; sealed at rest
	BillingCustomer string
	TrialEndsAt     time.Time // zero: no trial
}

// Tenant is everything the registry knows of a tenant.
type Tenant struct {
	tenancy.Tenant        // Endpoint: Host and Port are the server's pooled ones where it has a pooler
	Server         Server // its direct endpoint is for CREATE DATABASE, LISTEN, session locks
	Organization   Organization
	Labels         map[string]string // see SetLabels; not nil
	Adopted        bool              // the database was there before the tenant: see provision.Provisioner.Adopt
	SharedRole     bool              // an adopted tenant's: the role serves other databases too
	Attempt        int64
	Step           string // the last provisioning step that was begun
	FailReason     string // why its sign-up failed: a step's name and an error without secrets
	CreatedAt      time.Time
	ActivatedAt    time.Time // zero: never yet
}

const (
	lookup               = `SELECT ` + regdb.RouteColumns + lookupFrom
	lookupWithAttributes = `SELECT ` + regdb.RouteColumns + `, t.attributes` + lookupFrom
	lookupFrom           = ` FROM pgtenancy.tenants t JOIN pgtenancy.servers s ON s.name = t.server WHERE t.id = $1`
)

// Lookup implements [tenancy.Directory] by one prepared query. It returns the tenant in any state, or
// [tenancy.ErrNotFound]; or an [*UnsignedServerError]. ctx governs the query.
func (r *Registry) Lookup(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	if !id.Valid() {
		return tenancy.Tenant{}, regdb.NotFound(id)
	}
	var row regdb.Route
	var attributes []byte
	sql, fields := lookup, row.Fields()
	if r.attributes {
		sql, fields = lookupWithAttributes, append(fields, &attributes)
	}
	err := r.db.QueryRow(ctx, fmt.Sprintf("look up tenant %q", id), sql, []any{id}, fields...)
	if err != nil {
		return tenancy.Tenant{}, regdb.OrNotFound(err, id)
	}
	t, signed, err := row.Decrypt(ctx, r.db)
	if !signed {
		err = &UnsignedServerError{Server: row.Address.Name}
	}
	if err == nil && attributes != nil {
		t.Attributes, err = r.openAttributes(ctx, attributes, id)
	}
	if err != nil {
		return tenancy.Tenant{}, err
	}
	return t, nil
}

func (r *Registry) openAttributes(ctx context.Context, sealed []byte, id tenancy.ID) (tenancy.Secret, error) {
	plain, err := r.db.Open(ctx, sealed, "tenants", string(id), "attributes")
	return tenancy.NewSecret(string(plain)), err
}

// record is a row of regdb.TenantColumns.
type record struct {
	Tenant
	route       regdb.Route
	email       []byte // sealed
	trialEndsAt *time.Time
	activatedAt *time.Time
}

func (r *record) fields() []any {
	fields := append(r.route.Fields(), r.Server.fields()...)
	return append(fields, &r.Organization.Name, &r.email, &r.Organization.BillingCustomer, &r.trialEndsAt,
		&r.Labels, &r.Adopted, &r.SharedRole, &r.Attempt, &r.Step, &r.FailReason, &r.CreatedAt, &r.activatedAt)
}

// decrypt returns the tenant; without those sealed values that do not open, of which the error tells.
func (r *record) decrypt(ctx context.Context, db *regdb.DB) (Tenant, error) {
	t := &r.Tenant
	if r.trialEndsAt != nil {
		t.Organization.TrialEndsAt = *r.trialEndsAt
	}
	if r.activatedAt != nil {
		t.ActivatedAt = *r.activatedAt
	}
	var errs [2]error
	var signed bool
	if t.Tenant, signed, errs[0] = r.route.Decrypt(ctx, db); !signed {
		t.Server.Unsigned, errs[0] = true, &UnsignedServerError{Server: t.Server.Name}
	}
	if r.email != nil {
		t.Organization.Email, errs[1] = decryptEmail(ctx, db, r.email, "organizations", string(t.ID))
	}
	return *t, errors.Join(errs[:]...)
}

// Tenant returns all that is known of a tenant, or [tenancy.ErrNotFound]. ctx governs the query.
func (r *Registry) Tenant(ctx context.Context, id tenancy.ID) (*Tenant, error) {
	if !id.Valid() {
		return nil, regdb.NotFound(id)
	}
	var row record
	err := r.db.QueryRow(ctx, fmt.Sprintf("tenant %q", id),
		`SELECT `+regdb.TenantColumns+` FROM `+regdb.TenantTables+` WHERE t.id = $1`, []any{id}, row.fields()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, regdb.NotFound(id)
	}
	if err != nil {
		return nil, err
	}
	t, err := row.decrypt(ctx, r.db)
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// Tenants lists tenants in every state, in order of id, after the given one (empty: from the first), at most limit.
// A limit of zero is 100. ctx governs the query.
//
// A tenant with a sealed value that does not open is listed without it, and its error is in the one returned, beside
// the tenants. If there was no answer, there are no tenants.
func (r *Registry) Tenants(ctx context.Context, after tenancy.ID, limit int) ([]Tenant, error) {
	if limit <= 0 {
		limit = 100
	}
	rows, _ := r.db.Pool.Query(ctx, `SELECT `+regdb.TenantColumns+` FROM `+regdb.TenantTables+`
		WHERE t.id > $1 ORDER BY t.id LIMIT $2`, after, limit)
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (rec record, err error) {
		err = row.Scan(rec.fields()...)
		return rec, err
	})
	if err != nil {
		return nil, regdb.Redact("tenants", err)
	}
	var errs []error
	tenants := make([]Tenant, len(records))
	for i := range records { // the connection is back: a Sealer may ask a network
		tenants[i], err = records[i].decrypt(ctx, r.db)
		errs = append(errs, err)
	}
	return tenants, errors.Join(errs...)
}

// decryptEmail returns the address that was sealed in a row of a table.
func decryptEmail(ctx context.Context, db *regdb.DB, sealed []byte, table, row string) (Email, error) {
	plain, err := db.Open(ctx, sealed, table, row, "email")
	if err != nil {
		return Email{}, err
	}
	e, err := ParseEmail(string(plain))
	if err != nil {
		return Email{}, fmt.Errorf("%w: %s of %q", err, table, row)
	}
	return e, nil
}

// RenewConnections has every process that follows renew its connections to the tenant's database, whose schema has
// changed. Connections in use are not cut ([tenancy.Resolver.Renew]). Call it after a change of a schema that package
// provision did not make, once the change is committed. A call just before the commit too, with the changed tables
// locked, leaves fewer connections whose cached statements are out of date. It returns [tenancy.ErrNotFound]. ctx
// governs the statement.
func (r *Registry) RenewConnections(ctx context.Context, id tenancy.ID) error {
	const sql = `
WITH changed AS (
	SELECT id, 0::bigint AS epoch FROM pgtenancy.tenants WHERE id = $1
)` + regdb.Publish
	told, err := r.db.Exec(ctx, fmt.Sprintf("renew connections of tenant %q", id), sql, id)
	if err == nil && !told {
		err = regdb.NotFound(id)
	}
	return err
}

// SetBillingCustomer records the id that the billing service knows the organization by. The epoch stays. It returns
// [tenancy.ErrNotFound]. ctx governs the statement.
func (r *Registry) SetBillingCustomer(ctx context.Context, id tenancy.ID, customer string) error {
	found, err := r.db.Exec(ctx, fmt.Sprintf("set billing customer of tenant %q", id),
		`UPDATE pgtenancy.organizations SET billing_customer = $2 WHERE id = $1`, id, customer)
	if err == nil && !found {
		err = regdb.NotFound(id)
	}
	return err
}

// SetPasswordRef has the registry keep, in place of the password of a tenant's role, a reference to it: "scheme:name",
// such as "env:PG_ACME" or "vault:tenants/acme", for a scheme of Config.Secrets. The owner of the secret keeps it equal
// to the role's password; provision.RotatePassword puts a sealed password in its place again.
//
// The reference is sealed: write access to the registry must not be enough to choose which secret is sent to which
// server. It returns an error that matches [ErrSecretRef] when the secret cannot be had now, [tenancy.ErrNotFound], or
// [ErrConflict] for a tenant that is neither active nor suspended. ctx governs the whole of it.
func (r *Registry) SetPasswordRef(ctx context.Context, id tenancy.ID, ref string) error {
	return r.db.SetPasswordRef(ctx, id, ref)
}
