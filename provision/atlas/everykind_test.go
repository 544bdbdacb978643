package atlas_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
)

// errTried is what Verify answers to keep the target as it is, once it has seen that the upgrade would do.
var errTried = errors.New("the schema is right")

// trial is an upgrade of target that is never committed.
func trial(target, model *pgx.ConnConfig, want *fingerprint.Fingerprint) provision.UpgradeInput {
	return provision.UpgradeInput{Target: target, Model: model, Verify: func(ctx context.Context, conn *pgx.Conn) error {
		got, err := fingerprint.Take(ctx, conn)
		if err != nil {
			return err
		}
		if diff := got.Diff(want); diff != nil {
			return &provision.SchemaMismatchError{Diff: diff}
		}
		return errTried
	}}
}

// droppable makes a database whose objects can all be dropped at once, because they belong to the role owner.
func droppable(t *testing.T, owner string) *pgx.ConnConfig {
	t.Helper()
	model := pgtest.Database(t).ConnConfig
	admin := pgtest.Admin(t)
	script(t, admin, "CREATE ROLE "+owner+" SUPERUSER LOGIN PASSWORD 'x'")
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, cfg := range []*pgx.ConnConfig{model, admin} {
			conn, err := pgx.ConnectConfig(ctx, cfg)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := conn.PgConn().Exec(ctx, "DROP OWNED BY "+owner+" CASCADE").ReadAll(); err != nil {
				t.Error(err)
			}
			if cfg == admin {
				_, err = conn.Exec(ctx, "DROP ROLE "+owner)
			}
			if err := errors.Join(err, conn.Close(ctx)); err != nil {
				t.Error(err)
			}
		}
	})
	model.User, model.Password = owner, "x"
	return model
}

// major is the major version of the server.
func major(t *testing.T) int {
	t.Helper()
	var version int
	row := connect(t, pgtest.Admin(t)).QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int / 10000")
	if err := row.Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

func TestEveryKindOfObjectIsMadeOrRefused(t *testing.T) {
	t.Parallel()
	base := history(t, "1.sql", before)
	target, model := built(t, base), droppable(t, "kinds")
	untouched := fingerprintOf(t, target)
	made, refused := 0, 0
	kinds := objectKinds
	for since, newer := range objectKindsSince {
		if since <= major(t) {
			kinds = slices.Concat(kinds, newer)
		}
	}
	for i, c := range kinds {
		if i < len(objectKinds) && i%pgtest.Size(10, 1) != 0 {
			continue
		}
		s := history(t, "1.sql", before, "2.sql", c.sql)
		if err := s.Build(t.Context(), model); err != nil {
			t.Fatalf("%s: %v", c.sql, err)
		}
		want := fingerprintOf(t, model)
		u := trial(target, model, want)
		u.Policy.Allow = []string{"drop enum value status.done"} // as which the library sees its new name
		if diff := untouched.Diff(want); diff == nil {
			t.Errorf("%s: not in the fingerprint", c.sql)
		}
		library := must(t)(atlas.SQL(atlas.Config{Text: before + c.sql}))
		switch _, err := library.Upgrade(t.Context(), u); {
		case errors.Is(err, errTried):
			made++
			if !c.made {
				t.Errorf("%s: made", c.sql)
			}
		case err == nil:
			t.Errorf("%s: neither made nor refused", c.sql)
		default:
			refused++
			if c.made {
				t.Errorf("%s: %v", c.sql, err)
			}
		}
		if _, err := s.Upgrade(t.Context(), u); !errors.Is(err, errTried) {
			t.Errorf("%s: by a migration: %v", c.sql, err)
		}
		script(t, model, "DROP OWNED BY kinds CASCADE")
	}
	if diff := untouched.Diff(fingerprintOf(t, target)); diff != nil {
		t.Errorf("something stayed: %v", diff)
	}
	defer pgtest.Figure(t, "kinds", "%d kinds of objects: the library made %d and refused %d, migrations made all",
		made+refused, made, refused)
}

// Atlas cannot read such a database, so that what would be lost in it cannot be told.
func TestForeignKeyOfAPeriodIsRefused(t *testing.T) {
	t.Parallel()
	if major(t) < 18 {
		return // there is none
	}
	const period = `CREATE TABLE stay (room int4range, during daterange, PRIMARY KEY (room, during WITHOUT OVERLAPS));
		CREATE TABLE guest (room int4range, during daterange, FOREIGN KEY (room, PERIOD during) REFERENCES stay)`
	for name, s := range map[string]provision.Schema{
		"library": text(t, before+period), "migrations": history(t, "1.sql", before, "2.sql", period),
	} {
		target, model := built(t, history(t, "1.sql", before)), built(t, s)
		_, err := s.Upgrade(t.Context(), task(t, target, model))
		if err == nil || !strings.Contains(err.Error(), "PERIOD") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
