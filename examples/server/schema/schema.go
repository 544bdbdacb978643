// Package schema holds the schema of a church's database.
package schema

import "embed"

// FS holds schema.sql, which makes the 25 tables of a church's database: 24 for the church's work, and admins.
//
//go:embed schema.sql
var FS embed.FS
