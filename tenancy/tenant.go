package tenancy

import (
	"context"
	"strings"
)

// State is where a tenant stands in its life. Only [Active] tenants are leased.
type State string

// The states of a tenant: provisioning -> active <-> suspended, active -> moving -> active, active or suspended ->
// deleting -> gone, provisioning -> failing -> gone.
const (
	Provisioning State = "provisioning" // its database is being made
	Active       State = "active"       // open for queries
	Suspended    State = "suspended"    // closed on purpose, may be resumed
	Moving       State = "moving"       // on its way to another server
	Deleting     State = "deleting"     // its database is being dropped
	Failing      State = "failing"      // its sign-up failed and is being undone
)

// Tenant is what a [Directory] knows of one tenant.
type Tenant struct {
	// ID is the one that was asked for. A Directory may leave it empty; another ID is an error.
	ID    ID
	State State

	// Epoch grows with every change that a router must see. A directory without epochs leaves it zero.
	Epoch int64

	// Endpoint says where the tenant's database is. It matters only while State is Active.
	Endpoint Endpoint

	// SchemaHash is the version of the schema the database was last brought to; empty when it is not known.
	SchemaHash string
}

// Endpoint is where a tenant's database is and how to log in to it. A field left zero is taken from the resolver's
// base configuration, except Database, which is required.
type Endpoint struct {
	// Server names the PostgreSQL server; tenants with the same name share its limits. Empty means Host and Port.
	Server string

	Host     string
	Port     uint16
	Database string
	User     string

	// Password may be replaced at any time, in the directory first and on the server right after it: a connect that is
	// refused for it (SQLSTATE 28P01) asks the directory and tries again, three times within a second and a half. A pool
	// whose tenant has another password stays, and so do its connections; new ones are made with the new password.
	Password Secret

	// Pooled says that Host and Port lead to a pooler in transaction mode. Then nothing is prepared by name:
	// pgx.QueryExecModeExec takes the place of the modes that do. The tenant's code must not rely on what a session
	// keeps either: SET, LISTEN, advisory locks of a session, temporary tables.
	Pooled bool
}

// clone returns a copy of t that shares no memory with it. Secrets are immutable.
func (t Tenant) clone() Tenant {
	ep := &t.Endpoint
	for _, s := range []*string{(*string)(&t.ID), (*string)(&t.State), &t.SchemaHash, &ep.Server, &ep.Host, &ep.Database, &ep.User} {
		*s = strings.Clone(*s)
	}
	return t
}

// sameTarget reports whether a pool that was opened for t serves other as well: they lead to the same database in the
// same name. The password matters to new connections alone, and each of those reads it.
func (t *Tenant) sameTarget(other *Tenant) bool {
	a, b := t.Endpoint, other.Endpoint
	if a.Password.IsZero() != b.Password.IsZero() { // or Base's would be needed
		return false
	}
	a.Password, b.Password = Secret{}, Secret{}
	return a == b
}

// Directory turns an ID into what is known of the tenant.
//
// Lookup returns an error that matches [ErrNotFound] if and only if there is surely no such tenant: that answer is
// cached. Any other error means that the directory could not say, and is never cached. ctx bounds the look-up. Lookup
// is called from many goroutines, at most once at a time for one ID.
type Directory interface {
	Lookup(ctx context.Context, id ID) (Tenant, error)
}

// DirectoryFunc makes a function a [Directory].
type DirectoryFunc func(ctx context.Context, id ID) (Tenant, error)

// Lookup calls f.
func (f DirectoryFunc) Lookup(ctx context.Context, id ID) (Tenant, error) { return f(ctx, id) }
