package provision

import (
	"context"
	"crypto/sha256"
	_ "embed" // for fingerprint.sql
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed fingerprint.sql
var fingerprintSQL string

// fingerprintSettings fixes whatever changes the text that PostgreSQL prints for one and the same definition. They
// are the settings of pg_dump, and TimeZone, which decides how a constant of type timestamptz looks. Compiling a
// query of this size to machine code (jit) takes far longer than running it.
const fingerprintSettings = `
SET LOCAL search_path = pg_catalog;
SET LOCAL DateStyle = ISO;
SET LOCAL IntervalStyle = postgres;
SET LOCAL TimeZone = 'UTC';
SET LOCAL extra_float_digits = 3;
SET LOCAL bytea_output = hex;
SET LOCAL quote_all_identifiers = off;
SET LOCAL standard_conforming_strings = on;
SET LOCAL jit = off;
`

// Fingerprint describes the schema of one database: everything in it that pg_dump --schema-only would print, but
// owners, tablespaces, security labels, publications, subscriptions, user mappings and the order of a table's columns.
// Of privileges it holds those of PUBLIC and of roles that cannot log in.
//
// Fingerprints can be compared within one major version of PostgreSQL: versions print the same definition differently.
type Fingerprint struct {
	// Objects has one line for each object and attribute, "column public.members.nick: text not null", sorted. Long
	// definitions are shortened to their beginning and their digest. There are no row values in it.
	Objects []string
}

// TakeFingerprint reads the fingerprint of the database that conn is connected to, in one round trip. Inside a
// transaction it sees that transaction's changes, and changes none of its settings. ctx governs the query; when ctx
// ends, conn is closed. Errors carry the SQLSTATE.
func TakeFingerprint(ctx context.Context, conn *pgx.Conn) (*Fingerprint, error) {
	sql := fingerprintSettings + fingerprintSQL
	if conn.PgConn().TxStatus() != 'I' {
		// Rolling back to a savepoint undoes SET LOCAL. Outside a transaction the end of the message does.
		sql = "SAVEPOINT pgtenancy_fingerprint;" + sql +
			"; ROLLBACK TO SAVEPOINT pgtenancy_fingerprint; RELEASE SAVEPOINT pgtenancy_fingerprint"
	}
	f := &Fingerprint{Objects: []string{"postgresql " + major(conn)}}
	results := conn.PgConn().Exec(ctx, sql)
	for results.NextResult() {
		rows := results.ResultReader()
		for rows.NextRow() {
			f.Objects = append(f.Objects, string(rows.Values()[0]))
		}
	}
	if err := results.Close(); err != nil {
		return nil, fmt.Errorf("provision: take fingerprint: %w", redact(err))
	}
	slices.Sort(f.Objects)
	return f, nil
}

// major is what conn's server calls its version, up to the first point or space: "15".
func major(conn *pgx.Conn) string {
	version := conn.PgConn().ParameterStatus("server_version")
	if i := strings.IndexAny(version, ". "); i >= 0 {
		return version[:i]
	}
	return version
}

// Sum is the SHA-256 of the fingerprint in lower-case hex. Equal sums mean equal fingerprints.
func (f *Fingerprint) Sum() string {
	h := sha256.New()
	for _, line := range f.Objects {
		fmt.Fprintf(h, "%d:%s\n", len(line), line)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Diff names what would have to change to make f's database like other's: "- " leads a line that only f has, "+ " one
// that only other has. An object with another definition has a line of each. Diff is nil if the two are equal.
func (f *Fingerprint) Diff(other *Fingerprint) []string {
	var diff []string
	a, b := f.Objects, other.Objects
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			diff, a = append(diff, "- "+a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			diff, b = append(diff, "+ "+b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return diff
}
