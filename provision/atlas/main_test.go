package atlas_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
)

// TestMain runs the tests, or acts as the atlas command for those of CLI: they have this program run as one.
func TestMain(m *testing.M) {
	if os.Getenv(actAsAtlas) != "" {
		os.Exit(standIn(os.Args[1:]))
	}
	pgtest.Main(m)
}

// connect connects to the database of cfg until the end of the test.
func connect(tb testing.TB, cfg *pgx.ConnConfig) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.ConnectConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

// script runs any number of statements in the database of cfg.
func script(tb testing.TB, cfg *pgx.ConnConfig, sql string) {
	tb.Helper()
	if _, err := connect(tb, cfg).PgConn().Exec(tb.Context(), sql).ReadAll(); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

func fingerprintOf(tb testing.TB, cfg *pgx.ConnConfig) *fingerprint.Fingerprint {
	tb.Helper()
	f, err := fingerprint.Take(tb.Context(), connect(tb, cfg))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// text returns the schema that the SQL makes.
func text(tb testing.TB, sql string) provision.Schema {
	tb.Helper()
	return must(tb)(atlas.SQL(atlas.Config{Text: sql}))
}

func must(tb testing.TB) func(provision.Schema, error) provision.Schema {
	return func(s provision.Schema, err error) provision.Schema {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return s
	}
}

// built returns a new database that has the schema.
func built(tb testing.TB, s provision.Schema) *pgx.ConnConfig {
	tb.Helper()
	cfg := pgtest.Database(tb).ConnConfig
	if err := s.Build(tb.Context(), cfg); err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// errMismatch is what the Verify of these tests returns.
var errMismatch = errors.New("schema differs")

// task is an upgrade of target to the schema of model, verified as a Provisioner would.
func task(tb testing.TB, target, model *pgx.ConnConfig) provision.UpgradeInput {
	want := fingerprintOf(tb, model)
	return provision.UpgradeInput{
		Target: target, Model: model,
		Verify: func(ctx context.Context, conn *pgx.Conn) error {
			got, err := fingerprint.Take(ctx, conn)
			if err != nil {
				return err
			}
			if diff := got.Diff(want); diff != nil {
				return errors.Join(errMismatch, errors.New(strings.Join(diff, "\n")))
			}
			return nil
		},
	}
}

// names lists the changes of a report.
func names(r *provision.Report) []string {
	var list []string
	for _, c := range r.Changes {
		list = append(list, c.Name)
	}
	return list
}
