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
	Provisioning State = "provisioning" // its database is being created
	Active       State = "active"       // open for queries
	Suspended    State = "suspended"    // closed on purpose, may be resumed
	Moving       State = "moving"       // being moved to another server
	Deleting     State = "deleting"     // its database is being dropped
	Failing      State = "failing"      // its sign-up failed and is being undone
)

// Tenant is the record of one tenant, which a [Directory] returns.
type Tenant struct {
	// ID is the tenant's. A Directory may leave it empty; an ID other than the one it was asked for is an error.
	ID    ID
	State State

	// Epoch grows with every change that a router must see. A directory without epochs leaves it zero.
	Epoch int64

	// Endpoint says where the tenant's database is. It matters only while State is Active.
	Endpoint Endpoint

	// SchemaHash is the version of the schema that the database was last upgraded to; empty if it is not known.
	SchemaHash string

	// Attributes is the application's own, which the Directory gives and the resolver keeps with the record: JSON, say. It
	// does not print. Zero: none.
	Attributes Secret
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

	// Password may be replaced at any time, in the directory first and on the server right after it: a connect that the
	// server refuses with SQLSTATE 28P01 asks the directory and tries again, three times within a second and a half.
	// The pool and its connections stay; new connections are made with the new password.
	Password Secret

	// Pooled says that Host and Port lead to a pooler in transaction mode. Then no statement is prepared by name:
	// pgx.QueryExecModeExec replaces the modes that prepare. The tenant's code must not rely on session state either:
	// SET, LISTEN, advisory locks of a session, temporary tables.
	Pooled bool
}

// clone returns a copy of t that shares no memory with it. Secrets are immutable.
func (t Tenant) clone() Tenant {
	ep := &t.Endpoint
	for _, s := range []*string{
		(*string)(&t.ID), (*string)(&t.State), &t.SchemaHash, &ep.Server, &ep.Host, &ep.Database, &ep.User,
	} {
		*s = strings.Clone(*s)
	}
	return t
}

// sameTarget reports whether a pool that was opened for t can be used for other: both lead to the same database, with
// the same role. Passwords may differ: each new connection reads the current one.
func (t *Tenant) sameTarget(other *Tenant) bool {
	a, b := t.Endpoint, other.Endpoint
	if a.Password.IsZero() != b.Password.IsZero() { // or Base's would be needed
		return false
	}
	a.Password, b.Password = Secret{}, Secret{}
	return a == b
}

// Directory looks tenants up by ID.
//
// Lookup returns an error that matches [ErrNotFound] if and only if there is certainly no such tenant: that answer is
// cached. Any other error means that the directory does not know, and is never cached. ctx bounds the look-up. Lookup
// is called from many goroutines, at most once at a time for one ID.
type Directory interface {
	Lookup(ctx context.Context, id ID) (Tenant, error)
}

// DirectoryFunc makes a function a [Directory].
type DirectoryFunc func(ctx context.Context, id ID) (Tenant, error)

// Lookup calls f.
func (f DirectoryFunc) Lookup(ctx context.Context, id ID) (Tenant, error) { return f(ctx, id) }
