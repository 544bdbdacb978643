package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

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
	Attempt        int64
	Step           string // the last provisioning step that was begun
	FailReason     string // why its sign-up failed: a step's name and an error without secrets
	CreatedAt      time.Time
	ActivatedAt    time.Time // zero: never yet
}

// routeColumns are what a router needs to know of a tenant t on a server s.
const routeColumns = `t.id, t.state, t.epoch, t.schema_hash, t.database, t.role_name, t.password,
	s.name, s.host, s.port, s.pooled_host, s.pooled_port, s.address_mac`

const lookup = `SELECT ` + routeColumns + `
	FROM pgtenancy.tenants t JOIN pgtenancy.servers s ON s.name = t.server WHERE t.id = $1`

// route is a row of routeColumns.
type route struct {
	tenancy.Tenant
	server   Server // its name and addresses
	mac      string // of these
	password []byte
}

func (r *route) fields() []any {
	e, s := &r.Endpoint, &r.server
	return []any{
		&r.ID, &r.State, &r.Epoch, &r.SchemaHash, &e.Database, &e.User, &r.password,
		&s.Name, &s.Host, &s.Port, &s.PooledHost, &s.PooledPort, &r.mac,
	}
}

// shut returns the tenant without its password; without an address, too, if that is not signed.
func (r *route) shut(reg *Registry) (tenancy.Tenant, error) {
	t, at := r.Tenant, r.server.endpoint()
	var err error
	if !reg.keys.signed(r.server, r.mac) {
		at, err = tenancy.Endpoint{Server: r.server.Name}, &UnsignedServerError{Server: r.server.Name}
	}
	at.Database, at.User = t.Endpoint.Database, t.Endpoint.User
	t.Endpoint = at
	return t, err
}

// open returns the tenant; without its password if that does not open, and without what must not go together with one.
func (r *route) open(ctx context.Context, reg *Registry) (tenancy.Tenant, error) {
	t, unsigned := r.shut(reg)
	if unsigned != nil {
		return t, unsigned
	}
	var err error
	t.Endpoint.Password, err = reg.openPassword(ctx, r.password, r.ID)
	return t, err
}

// Lookup implements [tenancy.Directory] by one prepared query. It returns the tenant in whatever state it is, or
// [tenancy.ErrNotFound]; or an [*UnsignedServerError]. ctx governs the query.
func (r *Registry) Lookup(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	if !id.Valid() {
		return tenancy.Tenant{}, notFound(id)
	}
	var row route
	err := r.queryRow(ctx, fmt.Sprintf("look up tenant %q", id), lookup, []any{id}, row.fields()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return tenancy.Tenant{}, notFound(id)
	}
	if err != nil {
		return tenancy.Tenant{}, err
	}
	t, err := row.open(ctx, r)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	return t, nil
}

const tenantColumns = routeColumns + `, ` + serverColumns + `,
	o.name, o.email, o.billing_customer, o.trial_ends_at,
	t.attempt, t.step, t.fail_reason, t.created_at, t.activated_at`

const tenantTables = `pgtenancy.tenants t
	JOIN pgtenancy.servers s ON s.name = t.server
	JOIN pgtenancy.organizations o ON o.id = t.id`

// record is a row of tenantColumns.
type record struct {
	Tenant
	route       route
	email       []byte
	trialEndsAt *time.Time
	activatedAt *time.Time
}

func (r *record) fields() []any {
	fields := append(r.route.fields(), r.Server.fields()...)
	return append(fields, &r.Organization.Name, &r.email, &r.Organization.BillingCustomer, &r.trialEndsAt,
		&r.Attempt, &r.Step, &r.FailReason, &r.CreatedAt, &r.activatedAt)
}

// open returns the tenant; without those sealed values that do not open, of which the error tells.
func (r *record) open(ctx context.Context, reg *Registry) (Tenant, error) {
	t := r.shut(reg)
	var errs [2]error
	t.Tenant, errs[0] = r.route.open(ctx, reg)
	if r.email != nil {
		t.Organization.Email, errs[1] = reg.keys.openEmail(ctx, r.email, "organizations", string(t.ID))
	}
	return t, errors.Join(errs[:]...)
}

// shut returns the tenant without what is sealed. Its Server says whether its address is signed.
func (r *record) shut(reg *Registry) Tenant {
	var unsigned error
	r.Tenant.Tenant, unsigned = r.route.shut(reg)
	r.Server.Unsigned = unsigned != nil
	if r.trialEndsAt != nil {
		r.Organization.TrialEndsAt = *r.trialEndsAt
	}
	if r.activatedAt != nil {
		r.ActivatedAt = *r.activatedAt
	}
	return r.Tenant
}

// Tenant returns all that is known of a tenant, or [tenancy.ErrNotFound]. ctx governs the query.
func (r *Registry) Tenant(ctx context.Context, id tenancy.ID) (*Tenant, error) {
	row, err := r.record(ctx, id)
	if err != nil {
		return nil, err
	}
	t, err := row.open(ctx, r)
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// TenantWithoutSecrets returns what Tenant does, but no password and no e-mail. It needs no sealing key and asks no
// Sealer and no SecretSource, so that a tenant whose secrets are lost can still be worked on. ctx governs the query.
func (r *Registry) TenantWithoutSecrets(ctx context.Context, id tenancy.ID) (*Tenant, error) {
	row, err := r.record(ctx, id)
	if err != nil {
		return nil, err
	}
	t := row.shut(r)
	return &t, nil
}

func (r *Registry) record(ctx context.Context, id tenancy.ID) (*record, error) {
	if !id.Valid() {
		return nil, notFound(id)
	}
	var row record
	err := r.queryRow(ctx, fmt.Sprintf("tenant %q", id),
		`SELECT `+tenantColumns+` FROM `+tenantTables+` WHERE t.id = $1`, []any{id}, row.fields()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, err
	}
	return &row, nil
}

// Tenants lists tenants in whatever state, in order of id, after the given one (empty: from the first), at most limit.
// A limit of zero is 100. ctx governs the query.
//
// A tenant with a sealed value that does not open is listed without it, and its error is in the one returned, beside
// the tenants. If there was no answer, there are no tenants.
func (r *Registry) Tenants(ctx context.Context, after tenancy.ID, limit int) ([]Tenant, error) {
	if limit <= 0 {
		limit = 100
	}
	return r.tenants(ctx, "WHERE t.id > $1 ORDER BY t.id LIMIT $2", after, limit)
}

// Abandoned lists the tenants that [Registry.ClaimAbandoned] would claim, in the same order, at most limit, and claims
// none. Of one with a sealed value that does not open, what is said of [Registry.Tenants] holds. ctx governs the query.
func (r *Registry) Abandoned(ctx context.Context, limit int) ([]Tenant, error) {
	return r.tenants(ctx, `WHERE t.state IN ('provisioning', 'failing', 'deleting') AND t.claim_expires <= now()
		ORDER BY t.claim_expires, t.id LIMIT $1`, limit)
}

func (r *Registry) tenants(ctx context.Context, which string, args ...any) ([]Tenant, error) {
	rows, _ := r.pool.Query(ctx, `SELECT `+tenantColumns+` FROM `+tenantTables+` `+which, args...)
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (rec record, err error) {
		err = row.Scan(rec.fields()...)
		return rec, err
	})
	if err != nil {
		return nil, driverErr("tenants", err)
	}
	var errs []error
	tenants := make([]Tenant, len(records))
	for i := range records { // the connection is back: a Sealer may ask a network
		tenants[i], err = records[i].open(ctx, r)
		errs = append(errs, err)
	}
	return tenants, errors.Join(errs...)
}

func (k *Keyring) openEmail(ctx context.Context, sealed []byte, table, row string) (Email, error) {
	plain, err := k.open(ctx, sealed, table, row, "email")
	if err != nil {
		return Email{}, err
	}
	e, err := ParseEmail(string(plain))
	if err != nil {
		return Email{}, fmt.Errorf("%w: %s of %q", err, table, row)
	}
	return e, nil
}

func notFound(id tenancy.ID) error {
	return fmt.Errorf("registry: %w: %q", tenancy.ErrNotFound, shorten(string(id)))
}

// shorten keeps a hostile id from filling an error or a log line.
func shorten(s string) string {
	if len(s) <= tenancy.MaxIDLength {
		return s
	}
	return s[:tenancy.MaxIDLength] + "…"
}
