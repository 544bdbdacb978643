// Package pgerr decides what of an error of PostgreSQL's, or of its driver's, may be shown, logged and stored. The
// driver's errors carry the connection's settings with the password, and PostgreSQL's quote the values of rows and the
// text of statements. All packages decide by this one.
package pgerr
