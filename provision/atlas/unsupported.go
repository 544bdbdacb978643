package atlas

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
)

// unmanaged are the kinds of a fingerprint's lines that Atlas's open library neither makes nor drops: any difference
// stays.
func unmanaged() []string {
	return []string{
		"schema", "view", "materialized view", "function", "procedure", "aggregate", "extension", "domain",
		"composite type", "range", "type", "event trigger", "foreign table", "object", "user mapping", "default grant",
	}
}

// unmade are the kinds that go with their table, but are not made with it.
func unmade() []string {
	return []string{"trigger", "policy", "rule", "statistics", "inheritance", "dependency"}
}

// supported returns an *UnsupportedError if the database differs from want in a way that no plan of Atlas can mend. It
// names what is certain; Verify finds what depends on the plan.
func (s *session) supported(ctx context.Context, want *fingerprint.Fingerprint) error {
	var have *fingerprint.Fingerprint
	err := s.pgx(func(conn *pgx.Conn) (err error) {
		have, err = fingerprint.Take(ctx, conn)
		return err
	})
	if err != nil {
		return err
	}
	var objects []string
	for _, difference := range have.Diff(want) {
		missing := strings.HasPrefix(difference, "+ ")
		if hasKind(difference[2:], unmanaged()) || missing && hasKind(difference[2:], unmade()) {
			objects = append(objects, difference)
		}
	}
	if len(objects) > 0 {
		return &UnsupportedError{Objects: objects}
	}
	return nil
}

func hasKind(line string, kinds []string) bool {
	for _, kind := range kinds {
		if strings.HasPrefix(line, kind+" ") {
			return true
		}
	}
	return false
}
