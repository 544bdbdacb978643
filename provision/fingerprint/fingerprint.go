package fingerprint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// Fingerprint describes the schema of one database: everything in it that pg_dump --schema-only would print, but
// owners, tablespaces, subscriptions, the order of a table's columns and the names that PostgreSQL makes up for NOT
// NULL. Of privileges and user mappings it holds those of PUBLIC and of roles that cannot log in.
//
// Fingerprints can be compared within one major version of PostgreSQL: versions print the same definition differently.
type Fingerprint struct {
	// Objects has one line for each object and attribute, "column public.members.nick: text not null", sorted. Long
	// definitions are shortened to their beginning and their digest. There are no row values in it.
	Objects []string
}

// Take reads the fingerprint of the database that conn is connected to, from PostgreSQL 14 or later. Inside
// a transaction it sees that transaction's changes, and changes none of its settings. The queries are sent together; a
// connection that caches statements, as pgx's do by default, plans them once. ctx governs them; when ctx ends, conn is
// closed. Errors carry the SQLSTATE; a transaction in which there was one is at its end.
func Take(ctx context.Context, conn *pgx.Conn) (*Fingerprint, error) {
	f, err := take(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("fingerprint: %w", pgerr.Redact(err))
	}
	return f, nil
}

func take(ctx context.Context, conn *pgx.Conn) (*Fingerprint, error) {
	major := majorVersion(conn.PgConn().ParameterStatus("server_version"))
	if major < 14 {
		return nil, errors.New("the server is older than PostgreSQL 14")
	}
	before, after := []string{settings}, []string(nil)
	if conn.PgConn().TxStatus() != 'I' {
		// Rolling back to a savepoint undoes the settings. Outside a transaction the end of the batch does.
		before = []string{"SAVEPOINT pgtenancy_fingerprint", settings}
		after = []string{"ROLLBACK TO SAVEPOINT pgtenancy_fingerprint", "RELEASE SAVEPOINT pgtenancy_fingerprint"}
	}
	queries := queriesOf(major)
	batch := &pgx.Batch{}
	for _, sql := range slices.Concat(before, queries, after) {
		batch.Queue(sql)
	}
	f := &Fingerprint{Objects: []string{fmt.Sprintf("postgresql %d", major)}}
	results := conn.SendBatch(ctx, batch)
	for i := range batch.Len() {
		rows, err := results.Query()
		for err == nil && rows.Next() {
			if i >= len(before) { // and not of the settings
				f.Objects = append(f.Objects, lineOf(rows.RawValues()))
			}
		}
		if err = errors.Join(err, rows.Err()); err != nil {
			_ = results.Close()
			return nil, err
		}
	}
	if err := results.Close(); err != nil {
		return nil, err
	}
	slices.Sort(f.Objects)
	return f, nil
}

// lineOf makes a line of a kind, a name and the parts of a definition.
func lineOf(values [][]byte) string {
	var parts []string
	for _, v := range values[2:] {
		if len(v) > 0 {
			parts = append(parts, string(v))
		}
	}
	return fmt.Sprintf("%s %s: %s", values[0], values[1], abridge(strings.Join(parts, " ")))
}

// abridge keeps a short definition as it is. A long one is known by its beginning and its digest.
func abridge(definition string) string {
	const most, start = 240, 80
	if len(definition) <= most && !strings.ContainsAny(definition, "\n\r") {
		return definition
	}
	end := min(start, len(definition))
	for end < len(definition) && !utf8.RuneStart(definition[end]) {
		end++
	}
	digest := sha256.Sum256([]byte(definition))
	return fmt.Sprintf("%s… sha256 %s", strings.Join(strings.Fields(definition[:end]), " "),
		hex.EncodeToString(digest[:16]))
}

// Sum is the SHA-256 of the fingerprint in lower-case hex. Equal sums mean equal fingerprints.
func (f *Fingerprint) Sum() string {
	h := sha256.New()
	for _, line := range f.Objects {
		fmt.Fprintf(h, "%d:%s\n", len(line), line)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Diff names what would have to change to make f's database like other's: "- " leads a line that only f has, "+ " a
// line that only other has. An object with another definition has a line of each. Diff is nil if the two are equal.
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
