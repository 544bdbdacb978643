package regdb

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Address is where a server is.
type Address struct {
	Name, Host string
	Port       uint16
	PooledHost string
	PooledPort uint16
}

// Endpoint is where routers connect to: the pooler where there is one.
func (a Address) Endpoint() tenancy.Endpoint {
	if a.PooledHost != "" {
		return tenancy.Endpoint{Server: a.Name, Host: a.PooledHost, Port: a.PooledPort, Pooled: true}
	}
	return tenancy.Endpoint{Server: a.Name, Host: a.Host, Port: a.Port}
}

// Sign returns the signature of a under the current index key.
func (a Address) Sign(keys *keyring.Keyring) string { return keys.Sign(a.text()) }

// Signed reports whether mac is the signature of a under a key of the ring.
func (a Address) Signed(keys *keyring.Keyring, mac string) bool { return keys.Verify(a.text(), mac) }

// text is the signed text. It is quoted, so that no two servers have one text.
func (a Address) text() string {
	return fmt.Sprintf("v1|servers|address|%q|%q|%d|%q|%d", a.Name, a.Host, a.Port, a.PooledHost, a.PooledPort)
}

// ServerColumns are those of a server s.
const ServerColumns = `s.name, s.host, s.port, s.pooled_host, s.pooled_port, s.region, s.weight, s.capacity,
	s.max_conns, s.state, s.tenants`

// RouteColumns are what a router needs to know of a tenant t on a server s.
const RouteColumns = `t.id, t.state, t.epoch, t.schema_hash, t.database, t.role_name, t.password,
	s.name, s.host, s.port, s.pooled_host, s.pooled_port, s.address_mac`

// TenantColumns and TenantTables are all of a tenant.
const (
	TenantColumns = RouteColumns + `, ` + ServerColumns + `,
	o.name, o.email, o.billing_customer, o.trial_ends_at,
	t.labels, t.adopted, t.role_shared, t.attempt, t.step, t.fail_reason, t.created_at, t.activated_at`

	TenantTables = `pgtenancy.tenants t
	JOIN pgtenancy.servers s ON s.name = t.server
	JOIN pgtenancy.organizations o ON o.id = t.id`
)

// Route is a row of RouteColumns.
type Route struct {
	tenancy.Tenant
	Address Address
	Sealed  []byte `json:"-"` // the password

	mac string // of Address
}

// Format implements [fmt.Formatter]: under every verb a Route shows its tenant's id.
func (r Route) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "route of tenant %q", string(r.ID)) }

// LogValue implements [slog.LogValuer].
func (r Route) LogValue() slog.Value { return slog.GroupValue(slog.String("tenant", string(r.ID))) }

// Fields returns what to scan a row into.
func (r *Route) Fields() []any {
	e, a := &r.Endpoint, &r.Address
	return []any{
		&r.ID, &r.State, &r.Epoch, &r.SchemaHash, &e.Database, &e.User, &r.Sealed,
		&a.Name, &a.Host, &a.Port, &a.PooledHost, &a.PooledPort, &r.mac,
	}
}

// WithoutPassword returns the tenant without its password, and whether its server's address is signed; without an
// address if that is not.
func (r *Route) WithoutPassword(db *DB) (t tenancy.Tenant, signed bool) {
	t = r.Tenant
	at := tenancy.Endpoint{Server: r.Address.Name}
	if signed = r.Address.Signed(db.Keys, r.mac); signed {
		at = r.Address.Endpoint()
	}
	at.Database, at.User = t.Endpoint.Database, t.Endpoint.User
	t.Endpoint = at
	return t, signed
}

// Decrypt returns the tenant; without its password if that does not open, or if the server's address is not signed.
func (r *Route) Decrypt(ctx context.Context, db *DB) (t tenancy.Tenant, signed bool, err error) {
	t, signed = r.WithoutPassword(db)
	if signed {
		t.Endpoint.Password, err = db.OpenPassword(ctx, r.Sealed, r.ID)
	}
	return t, signed, err
}
