package atlas_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
)

// commandConfig makes a configuration for the atlas command that ATLAS_BIN names, or else for this test program,
// which acts as one.
func commandConfig(tb testing.TB, cfg atlas.Config) atlas.CLIConfig {
	tb.Helper()
	if binary := os.Getenv("ATLAS_BIN"); binary != "" {
		return atlas.CLIConfig{Config: cfg, Binary: binary}
	}
	return standInConfig(tb, cfg)
}

func standInConfig(tb testing.TB, cfg atlas.Config) atlas.CLIConfig {
	tb.Helper()
	binary, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return atlas.CLIConfig{Config: cfg, Binary: binary, Env: map[string]string{
		actAsAtlas: "1", secret: pgtest.Admin(tb).Password, "GOCOVERDIR": tb.TempDir(),
	}}
}

func TestCommandUpgrades(t *testing.T) {
	t.Parallel()
	old, sql := text(t, before), before+"ALTER TABLE member ADD COLUMN phone text; CREATE TABLE note (id bigint "+
		"PRIMARY KEY);"
	s := must(t)(atlas.CLI(commandConfig(t, atlas.Config{Text: sql})))
	u := task(t, built(t, old), built(t, s))
	base := fingerprintOf(t, u.Target)
	u.Policy.DryRun = true
	dry, err := s.Upgrade(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if diff := base.Diff(fingerprintOf(t, u.Target)); diff != nil || dry.Applied {
		t.Errorf("the dry run changed the database: %v", diff)
	}
	u.Policy.DryRun = false
	want := []string{"add column member.phone", "add table note"}
	for range 2 {
		report, err := s.Upgrade(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, names(report)); diff != "" || !report.Applied {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		want = nil
	}
	if diff := fingerprintOf(t, u.Target).Diff(fingerprintOf(t, u.Model)); diff != nil {
		t.Errorf("after the upgrade: %v", diff)
	}
}

func TestCommandRefusesDestructiveChangesUnlessNamed(t *testing.T) {
	t.Parallel()
	s := must(t)(atlas.CLI(commandConfig(t, atlas.Config{Text: before + "ALTER TABLE member DROP COLUMN nick"})))
	u := task(t, built(t, text(t, before)), built(t, s))
	_, err := s.Upgrade(t.Context(), u)
	if destructive := (*provision.DestructiveError)(nil); !errors.As(err, &destructive) {
		t.Fatalf("upgrade without leave: %v", err)
	}
	u.Policy.Allow = []string{"drop column member.nick"}
	if _, err := s.Upgrade(t.Context(), u); err != nil {
		t.Errorf("upgrade with leave: %v", err)
	}
}

func TestCommandIsVerifiedAndRunsCompanions(t *testing.T) {
	t.Parallel()
	sql := `CREATE TABLE member (id bigint PRIMARY KEY, email text);`
	view := func(columns string) atlas.Config {
		return atlas.Config{Text: sql, Repeatable: []string{"v.sql"}, FS: fstest.MapFS{
			"v.sql": {Data: []byte("CREATE OR REPLACE VIEW roster AS SELECT " + columns + " FROM member")},
		}}
	}
	old := must(t)(atlas.SQL(view("id")))
	with := must(t)(atlas.CLI(commandConfig(t, view("id, email"))))
	target, model := built(t, old), built(t, with)
	without := must(t)(atlas.CLI(commandConfig(t, atlas.Config{Text: sql})))
	if _, err := without.Upgrade(t.Context(), task(t, target, model)); !errors.Is(err, errMismatch) {
		t.Errorf("a view that nothing changes: %v", err)
	}
	if _, err := with.Upgrade(t.Context(), task(t, target, model)); err != nil {
		t.Error(err)
	}
}

func TestCommandBuildsFromHCLWithAScratchDatabase(t *testing.T) {
	t.Parallel()
	cfg := commandConfig(t, atlas.Config{Text: model})
	cfg.HCL = true
	target := pgtest.Database(t).ConnConfig
	if err := must(t)(atlas.CLI(cfg)).Build(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	want := fingerprintOf(t, built(t, must(t)(atlas.HCL(atlas.Config{Text: model}))))
	if diff := fingerprintOf(t, target).Diff(want); diff != nil {
		t.Errorf("- is the command's, + is the library's: %v", diff)
	}
	var left int
	err := connect(t, target).QueryRow(t.Context(),
		"SELECT count(*) FROM pg_database WHERE datname LIKE 'pgtenancy_dev_%'").Scan(&left)
	if err != nil || left > 0 {
		t.Errorf("%d scratch databases are left, error %v", left, err)
	}
}

func TestCommandsFailuresHoldNoPassword(t *testing.T) {
	cfg := standInConfig(t, atlas.Config{Text: before}) // a real command cannot be told to fail
	cfg.Env[lose] = "1"
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	s := must(t)(atlas.CLI(cfg))
	db := built(t, s)
	_, err := s.Upgrade(t.Context(), task(t, db, db))
	failed := (*atlas.CommandError)(nil)
	if !errors.As(err, &failed) || failed.ExitCode != 1 || !strings.Contains(failed.Output,
		"cannot connect to postgres://…") {
		t.Fatalf("a command that fails: %v", err)
	}
	for _, printed := range []string{fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", failed), failed.Output} {
		if strings.Contains(printed, db.Password) {
			t.Errorf("holds the password: %s", printed)
		}
	}
	if left, err := filepath.Glob(filepath.Join(temporary, "pgtenancy-atlas-*")); err != nil || len(left) > 0 {
		t.Errorf("directories left: %q, error %v", left, err)
	}
}

func TestCommandTakesTheUpgradeLock(t *testing.T) {
	t.Parallel()
	s := must(t)(atlas.CLI(commandConfig(t, atlas.Config{Text: before})))
	db := built(t, s)
	u := task(t, db, db)
	u.Policy.LockTimeout = 50 * time.Millisecond
	inner := text(t, before)
	v := u
	v.Verify = func(ctx context.Context, _ *pgx.Conn) error {
		_, err := s.Upgrade(ctx, u) // while the library's upgrade of the same database is under way
		return err
	}
	_, err := inner.Upgrade(t.Context(), v)
	if !errors.Is(err, atlas.ErrLocked) {
		t.Errorf("two upgrades at once: %v", err)
	}
}

func TestURLsOfTheCommandKeepEveryCharacter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ host, user, password, database string }{
		{"localhost", "postgres", "s3cr:t/p@ss word%?#", "tenant_a"},
		{"::1", "a b", "'\"&=", "ä/ö?"},
		{"/var/run/postgresql", "u", "p", "d"},
	} {
		want, err := pgx.ParseConfig("sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		want.Host, want.Port, want.User, want.Password, want.Database = c.host, 5433, c.user, c.password, c.database
		got, err := pgx.ParseConfig(atlas.DatabaseURL(want, provision.Policy{LockTimeout: time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		if got.Host != c.host || got.Port != 5433 || got.User != c.user || got.Password != c.password ||
			got.Database != c.database || got.TLSConfig != nil || got.RuntimeParams["lock_timeout"] != "1000" {
			t.Errorf("%+v became %s:%d %s %s", c, got.Host, got.Port, got.User, got.Database)
		}
	}
}

func TestNoCommandIsATypedError(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, binary := range []string{"", "/nowhere/atlas"} {
		_, err := atlas.CLI(atlas.CLIConfig{Config: atlas.Config{Text: "SELECT 1"}, Binary: binary})
		if !errors.Is(err, atlas.ErrNoBinary) || !strings.Contains(err.Error(), "install") {
			t.Errorf("binary %q: %v", binary, err)
		}
	}
	_, err := atlas.CLI(atlas.CLIConfig{})
	if !errors.Is(err, atlas.ErrNoBinary) || !strings.Contains(err.Error(), "Config.Files") {
		t.Errorf("not every violation is named: %v", err)
	}
}
