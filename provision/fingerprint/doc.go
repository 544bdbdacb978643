// Package fingerprint describes the schema of a PostgreSQL database, so that two databases can be compared.
//
// [Take] reads the system catalogues over one connection and returns a [Fingerprint]: a sorted line for each object and
// attribute. [Fingerprint.Diff] names the lines in which two databases differ, and [Fingerprint.Sum] is a digest of
// all.
//
// Package provision compares the fingerprints of a tenant's database and of a clone of the template before
// it commits an upgrade. So the stamp in the registry says which schema a tenant has.
//
// The queries are in catalog.sql, with the versions of PostgreSQL that understand each line; queries.go selects those
// of the server's version, and fingerprint.go sends them. Invariant: every query names only what pg_catalog has, so
// that a function that a tenant made is never called.
package fingerprint
