package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// record is a row of regdb.TenantColumns.
type record struct {
	registry.Tenant
	route       regdb.Route
	email       []byte // sealed
	trialEndsAt *time.Time
	activatedAt *time.Time
}

func (r *record) fields() []any {
	fields := append(r.route.Fields(), serverFields(&r.Server)...)
	return append(fields, &r.Organization.Name, &r.email, &r.Organization.BillingCustomer, &r.trialEndsAt,
		&r.Labels, &r.Adopted, &r.SharedRole, &r.Attempt, &r.Step, &r.FailReason, &r.CreatedAt, &r.activatedAt)
}

// serverFields are what regdb.ServerColumns are scanned into.
func serverFields(s *registry.Server) []any {
	return []any{
		&s.Name, &s.Host, &s.Port, &s.PooledHost, &s.PooledPort, &s.Region, &s.Weight, &s.Capacity,
		&s.MaxConns, &s.State, &s.Tenants,
	}
}

// withoutSecrets returns the tenant without its sealed values. Its Server says whether its address is signed.
func (r *record) withoutSecrets(db *regdb.DB) registry.Tenant {
	t := &r.Tenant
	var signed bool
	t.Tenant, signed = r.route.WithoutPassword(db)
	t.Server.Unsigned = !signed
	if r.trialEndsAt != nil {
		t.Organization.TrialEndsAt = *r.trialEndsAt
	}
	if r.activatedAt != nil {
		t.ActivatedAt = *r.activatedAt
	}
	return *t
}

// decrypt returns the tenant; without those sealed values that do not open, of which the error tells.
func (r *record) decrypt(ctx context.Context, db *regdb.DB) (registry.Tenant, error) {
	t := r.withoutSecrets(db)
	errs := [2]error{t.Server.Verify()}
	if errs[0] == nil {
		t.Endpoint.Password, errs[0] = db.OpenPassword(ctx, r.route.Sealed, t.ID)
	}
	if r.email != nil {
		t.Organization.Email, errs[1] = decryptEmail(ctx, db, r.email, "organizations", string(t.ID))
	}
	return t, errors.Join(errs[:]...)
}

// decryptEmail returns the address that was sealed in a row of a table.
func decryptEmail(ctx context.Context, db *regdb.DB, sealed []byte, table, row string) (registry.Email, error) {
	plain, err := db.Open(ctx, sealed, table, row, "email")
	if err != nil {
		return registry.Email{}, err
	}
	e, err := registry.ParseEmail(string(plain))
	if err != nil {
		return registry.Email{}, fmt.Errorf("%w: %s of %q", err, table, row)
	}
	return e, nil
}

// TenantWithoutSecrets returns what Registry.Tenant does, but no password and no e-mail. It needs no sealing key and
// asks no Sealer and no SecretSource, so that a tenant whose secrets are lost can still be worked on. ctx governs the
// query.
func (cat *Catalog) TenantWithoutSecrets(ctx context.Context, id tenancy.ID) (*registry.Tenant, error) {
	if !id.Valid() {
		return nil, regdb.NotFound(id)
	}
	var row record
	err := cat.db.QueryRow(ctx, fmt.Sprintf("tenant %q", id),
		`SELECT `+regdb.TenantColumns+` FROM `+regdb.TenantTables+` WHERE t.id = $1`, []any{id}, row.fields()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, regdb.NotFound(id)
	}
	if err != nil {
		return nil, err
	}
	t := row.withoutSecrets(cat.db)
	return &t, nil
}

// Abandoned lists the tenants that [Catalog.ClaimAbandoned] would claim, in the same order, at most limit, and claims
// none. See Registry.Tenants for a tenant with a sealed value that does not open. ctx governs the query.
func (cat *Catalog) Abandoned(ctx context.Context, limit int) ([]registry.Tenant, error) {
	rows, _ := cat.db.Pool.Query(ctx, `SELECT `+regdb.TenantColumns+` FROM `+regdb.TenantTables+`
		WHERE t.state IN ('provisioning', 'failing', 'deleting') AND t.claim_expires <= now()
		ORDER BY t.claim_expires, t.id LIMIT $1`, limit)
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (rec record, err error) {
		err = row.Scan(rec.fields()...)
		return rec, err
	})
	if err != nil {
		return nil, regdb.Redact("tenants", err)
	}
	var errs []error
	tenants := make([]registry.Tenant, len(records))
	for i := range records { // the connection is back: a Sealer may ask a network
		tenants[i], err = records[i].decrypt(ctx, cat.db)
		errs = append(errs, err)
	}
	return tenants, errors.Join(errs...)
}
