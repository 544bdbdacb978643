// Package pgadmin has what an administrator of PostgreSQL servers does, as functions of a connection and of names:
// connect and disconnect, make roles and join them, grant and revoke in a database, drop a database.
//
// It knows nothing of tenants: package provision does. conn.go has connections and databases, roles.go the roles of a
// server, grants.go the privileges inside one database. Invariant: names are quoted here or by the caller with [Quote];
// statements in a database where others can create objects run on a [Pinned] connection.
package pgadmin

import "errors"

// ErrPublicSchema is returned by ClosePublic and Grant when the administrator may not take the right to create objects
// in schema public from tenants.
var ErrPublicSchema = errors.New("the administrator cannot keep tenants from creating objects in schema public")
