package atlas_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
)

const before = `
CREATE TYPE status AS ENUM ('new', 'done');
CREATE TABLE team (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL DEFAULT 'x');
CREATE TABLE member (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  team_id bigint NOT NULL CONSTRAINT member_team REFERENCES team ON DELETE CASCADE,
  email text NOT NULL CONSTRAINT member_email UNIQUE, nick text, age integer CONSTRAINT member_age CHECK (age > 0),
  state status NOT NULL DEFAULT 'new');
CREATE INDEX member_new ON member (team_id) WHERE state = 'new';
CREATE VIEW roster AS SELECT id, email FROM member;
INSERT INTO team (name) VALUES ('a');
INSERT INTO member (team_id, email, nick) VALUES (1, 'secret@example.com', 'nick');
`

func TestUpgradeOfACurrentDatabaseChangesNothing(t *testing.T) {
	t.Parallel()
	s := text(t, before)
	u := task(t, built(t, s), built(t, s))
	for range 2 {
		report, err := s.Upgrade(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Changes) > 0 || !report.Applied {
			t.Errorf("report of an upgrade without changes: %+v", report)
		}
	}
}

func TestUpgradeMakesChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sql string
		want      []string
	}{
		{
			"table", "CREATE TABLE note (id bigint PRIMARY KEY, member_id bigint REFERENCES member)",
			[]string{"add table note"},
		},
		{"column", "ALTER TABLE member ADD COLUMN phone text DEFAULT 'none' NOT NULL", []string{"add column member.phone"}},
		{"index", "CREATE INDEX member_nick ON member (lower(nick)) INCLUDE (age)", []string{"add index member.member_nick"}},
		{"enum value", "ALTER TYPE status ADD VALUE 'late' BEFORE 'done'", []string{"add enum value status.late"}},
		{"enum", "CREATE TYPE size AS ENUM ('s', 'l'); ALTER TABLE team ADD COLUMN size size", []string{
			"add enum size",
			"add column team.size",
		}},
		{"wider type", "ALTER TABLE member ALTER age TYPE bigint", []string{"change type member.age to bigint"}},
		{
			"not null", "UPDATE member SET nick = ''; ALTER TABLE member ALTER nick SET NOT NULL",
			[]string{"set not null member.nick"},
		},
		{
			"default of another type", "ALTER TABLE team ALTER name SET DEFAULT now()::text",
			[]string{"change default team.name"},
		},
		{
			"check", "ALTER TABLE member DROP CONSTRAINT member_age, ADD CONSTRAINT member_age CHECK (age > 1)",
			[]string{"change check member.member_age"},
		},
		{"foreign key action", "ALTER TABLE member DROP CONSTRAINT member_team, ADD CONSTRAINT member_team FOREIGN KEY " +
			"(team_id) REFERENCES team ON DELETE RESTRICT", []string{"change foreign key member.member_team"}},
		{
			"comment", "COMMENT ON TABLE member IS 'a'; COMMENT ON COLUMN member.age IS 'b'",
			[]string{"comment on column member.age", "comment on table member"},
		},
		{"two at once", "ALTER TABLE member ADD COLUMN a text, ADD COLUMN b text", []string{
			"add column member.a",
			"add column member.b",
		}},
		{"less used index", "DROP INDEX member_new", []string{"drop index member.member_new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := text(t, before+c.sql)
			u := task(t, built(t, text(t, before)), built(t, s))
			if c.name == "not null" {
				script(t, u.Target, "UPDATE member SET nick = ''")
			}
			u.Policy.DryRun = true
			base := fingerprintOf(t, u.Target)
			dry, err := s.Upgrade(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			if diff := base.Diff(fingerprintOf(t, u.Target)); diff != nil || dry.Applied {
				t.Errorf("the dry run changed the database: %v, applied: %v", diff, dry.Applied)
			}
			u.Policy.DryRun = false
			report, err := s.Upgrade(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			got := names(report)
			slices.Sort(got)
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, got); diff != "" || !report.Applied {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			for i, change := range report.Changes {
				if change.SQL == "" || change.Destructive || change != dry.Changes[i] {
					t.Errorf("change %+v, in the dry run %+v", change, dry.Changes[i])
				}
			}
			if diff := fingerprintOf(t, u.Target).Diff(fingerprintOf(t, u.Model)); diff != nil {
				t.Errorf("after the upgrade: %v", diff)
			}
		})
	}
}

func TestUpgradeRefusesDestructiveChangesUnlessNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{"DROP VIEW roster; DROP TABLE member", []string{"drop table member"}},
		{"ALTER TABLE member DROP COLUMN nick", []string{"drop column member.nick"}},
		{"ALTER TABLE member RENAME COLUMN nick TO alias", []string{"drop column member.nick"}},
		{"ALTER TABLE member ALTER age TYPE smallint", []string{"change type member.age to smallint"}},
		{"ALTER TABLE member ALTER nick TYPE varchar(5)", []string{"change type member.nick to character varying(5)"}},
		{"ALTER TABLE member DROP CONSTRAINT member_email", []string{"drop unique member.member_email"}},
		{"ALTER TABLE member DROP CONSTRAINT member_age", []string{"drop check member.member_age"}},
		{"ALTER TABLE member DROP CONSTRAINT member_team", []string{"drop foreign key member.member_team"}},
		{"ALTER TABLE member DROP CONSTRAINT member_pkey", []string{"drop primary key member"}},
	} {
		t.Run(c.sql, func(t *testing.T) {
			t.Parallel()
			s := text(t, before+c.sql)
			u := task(t, built(t, text(t, before)), built(t, s))
			if c.want[0] == "drop table member" {
				script(t, u.Target, "DROP VIEW roster")
			}
			base := fingerprintOf(t, u.Target)
			_, err := s.Upgrade(t.Context(), u)
			var destructive *provision.DestructiveError
			if !errors.As(err, &destructive) {
				t.Fatalf("upgrade without leave: %v", err)
			}
			if diff := cmp.Diff(c.want, names(&provision.Report{Changes: destructive.Changes})); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
			if diff := base.Diff(fingerprintOf(t, u.Target)); diff != nil {
				t.Errorf("a refused upgrade changed the database: %v", diff)
			}
			u.Policy.Allow = c.want
			if _, err := s.Upgrade(t.Context(), u); err != nil {
				t.Errorf("upgrade with leave: %v", err)
			}
		})
	}
}

func TestExclusionConstraintIsNeitherDroppedNorChangedWithoutLeave(t *testing.T) {
	t.Parallel()
	const seats = "CREATE TABLE seat (room integer, CONSTRAINT once EXCLUDE (room WITH =)); CREATE INDEX fast ON seat " +
		"(room);"
	for after, want := range map[string][]string{
		"CREATE TABLE seat (room integer); CREATE INDEX fast ON seat (room)": {"drop exclusion seat.once"},
		"CREATE TABLE seat (room integer, CONSTRAINT once EXCLUDE (room WITH =) WHERE (room > 100)); CREATE INDEX fast ON " +
			"seat (room)": {
			"change exclusion seat.once",
		},
		"CREATE TABLE seat (room integer, CONSTRAINT once EXCLUDE (room WITH =))": nil,
	} {
		s := text(t, after)
		u := task(t, built(t, text(t, seats)), built(t, s))
		_, err := s.Upgrade(t.Context(), u)
		var destructive *provision.DestructiveError
		if errors.As(err, &destructive) != (want != nil) || want != nil &&
			!slices.Equal(names(&provision.Report{Changes: destructive.Changes}), want) {
			t.Errorf("%s: %v, want %v refused", after, err, want)
		}
		if u.Policy.Allow = want; want == nil {
			continue
		}
		if _, err := s.Upgrade(t.Context(), u); err != nil {
			t.Errorf("%s, with leave: %v", after, err)
		}
	}
}

func TestRefusedRenamesSayWhatToDo(t *testing.T) {
	t.Parallel()
	target := built(t, text(t, before))
	for change, want := range map[string]string{
		"ALTER TABLE member RENAME COLUMN nick TO alias":                   "if member.nick is to be renamed",
		"DROP VIEW roster; ALTER TABLE member RENAME TO person":            "if member is to be renamed",
		"ALTER TABLE member DROP COLUMN nick":                              "",
		"ALTER TABLE member DROP COLUMN nick; ALTER TABLE team ADD a text": "",
	} {
		s := must(t)(atlas.SQL(atlas.Config{
			Text: before + change, Repeatable: []string{"none.sql"}, FS: fstest.MapFS{"none.sql": {Data: []byte("SELECT 1")}},
		}))
		_, err := s.Upgrade(t.Context(), task(t, target, built(t, s)))
		if d := (*provision.DestructiveError)(nil); !errors.As(err, &d) {
			t.Fatalf("%s: %v", change, err)
		}
		if got := err.Error(); want == "" && strings.Contains(got, "renamed") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", change, got)
		}
	}
}

func TestUpgradeRefusesWhatAtlasDoesNotSeeAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sql, want string }{
		{"CREATE VIEW extra AS SELECT 1 AS one", "+ view public.extra"},
		{"DROP VIEW roster", "- view public.roster"},
		{"CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'", "+ function public.f()"},
		{"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE UPDATE " +
			"ON member FOR EACH ROW EXECUTE FUNCTION f()", "+ trigger public.member.t"},
		{"ALTER TABLE member ENABLE ROW LEVEL SECURITY", "+ table public.member: row security"},
		{"CREATE POLICY p ON member USING (true)", "+ policy public.member.p"},
		{"ALTER TABLE member ALTER CONSTRAINT member_team DEFERRABLE", "DEFERRABLE"},
		{"GRANT SELECT ON member TO PUBLIC", "+ grant table public.member to PUBLIC: SELECT"},
		{"CREATE DOMAIN d AS text", "+ domain public.d"},
		{"CREATE SEQUENCE s", "+ sequence public.s"},
		{"CREATE SCHEMA other; CREATE TABLE other.t ()", "+ schema other"},
		{"ALTER TABLE member SET (fillfactor = 70)", "fillfactor=70"},
		{"ALTER TYPE status RENAME VALUE 'done' TO 'over'", "status"},
	} {
		t.Run(c.sql, func(t *testing.T) {
			t.Parallel()
			// A change that Atlas can make comes with each: it must not stay either.
			s := text(t, before+"CREATE TABLE note (); "+c.sql)
			u := task(t, built(t, text(t, before)), built(t, s))
			base := fingerprintOf(t, u.Target)
			u.Policy.Allow = []string{"drop enum value status.done"}
			_, err := s.Upgrade(t.Context(), u)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error does not name %q: %v", c.want, err)
			}
			if diff := base.Diff(fingerprintOf(t, u.Target)); diff != nil {
				t.Errorf("something stayed: %v", diff)
			}
		})
	}
}

func TestUpgradeWaitsForALockNoLongerThanItsPolicySays(t *testing.T) {
	t.Parallel()
	s := text(t, before+"ALTER TABLE member ADD COLUMN phone text")
	u := task(t, built(t, text(t, before)), built(t, s))
	u.Policy.LockTimeout = 50 * time.Millisecond
	holder := connect(t, u.Target)
	if _, err := holder.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), "SELECT * FROM member"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Upgrade(t.Context(), u)
	if pg := (*pgconn.PgError)(nil); !errors.As(err, &pg) || pg.Code != "55P03" {
		t.Errorf("behind a reader: %v", err)
	}
	if _, err := holder.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Upgrade(t.Context(), u); err != nil {
		t.Errorf("after the reader: %v", err)
	}
}

func TestUpgradeThatIsCanceledLeavesNothing(t *testing.T) {
	t.Parallel()
	s := text(t, before+"ALTER TABLE member ADD COLUMN phone text")
	u := task(t, built(t, text(t, before)), built(t, s))
	base := fingerprintOf(t, u.Target)
	ctx, cancel := context.WithCancel(t.Context())
	u.Verify = func(ctx context.Context, conn *pgx.Conn) error {
		cancel()
		_, err := conn.Exec(ctx, "SELECT 1")
		return err
	}
	if _, err := s.Upgrade(ctx, u); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled upgrade: %v", err)
	}
	if diff := base.Diff(fingerprintOf(t, u.Target)); diff != nil {
		t.Errorf("something stayed: %v", diff)
	}
}

func TestModelIsReadOnceForAServer(t *testing.T) {
	t.Parallel()
	s := text(t, before+"ALTER TABLE member ADD COLUMN phone text")
	u := task(t, built(t, text(t, before)), built(t, s))
	if _, err := s.Upgrade(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	u.Model = u.Model.Copy()
	u.Model.Database = "the_next_upgrades_model"
	if _, err := s.Upgrade(t.Context(), u); err != nil {
		t.Errorf("with another model of the same server: %v", err)
	}
}

func TestUpgradesOfManyDatabasesShareOneModel(t *testing.T) {
	t.Parallel()
	s := text(t, before+"CREATE TABLE note (id bigint PRIMARY KEY); ALTER TABLE member ADD COLUMN phone text")
	model, old := built(t, s), text(t, before)
	var group errgroup.Group
	for range 8 {
		u := task(t, built(t, old), model)
		group.Go(func() error {
			_, err := s.Upgrade(t.Context(), u)
			return err
		})
	}
	var err error
	pgtest.Wait(t, "every upgrade ends", func() { err = group.Wait() })
	if err != nil {
		t.Error(err)
	}
}

func TestUpgradesOfOneDatabaseTakeTurns(t *testing.T) {
	t.Parallel()
	s := text(t, before+"CREATE TABLE note (id bigint PRIMARY KEY)")
	u := task(t, built(t, text(t, before)), built(t, s))
	u.Policy.LockTimeout = time.Minute // three of them wait for a fourth, on a machine that may be busy
	var group errgroup.Group
	reports := make([]*provision.Report, 4)
	for i := range reports {
		group.Go(func() (err error) {
			reports[i], err = s.Upgrade(t.Context(), u)
			return err
		})
	}
	var err error
	pgtest.Wait(t, "every upgrade ends", func() { err = group.Wait() })
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, r := range reports {
		made += len(r.Changes)
	}
	if made != 1 {
		t.Errorf("the table was made by %d upgrades", made)
	}
}

func TestUpgradeErrorsHoldNoRowValues(t *testing.T) {
	t.Parallel()
	s := text(t, before+"DELETE FROM member; CREATE UNIQUE INDEX one_nick ON member (nick)")
	u := task(t, built(t, text(t, before)), built(t, s))
	script(t, u.Target, "INSERT INTO member (team_id, email, nick) VALUES (1, 'b', 'nick')")
	_, err := s.Upgrade(t.Context(), u)
	if pg := (*pgconn.PgError)(nil); !errors.As(err, &pg) || pg.Code != "23505" || pg.Detail != "" {
		t.Errorf("a unique index over duplicates: %v", err)
	} else if strings.Contains(err.Error(), "(nick)=") || !strings.Contains(err.Error(), "one_nick") {
		t.Errorf("error: %v", err)
	}
}
