package registry_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
)

// publicMay is what PUBLIC may do in a registry's database.
type publicMay struct{ Connect, Temporary, Create bool }

func whatPublicMay(t *testing.T, pool *pgxpool.Pool) (may publicMay) {
	t.Helper()
	must(t, pool.QueryRow(t.Context(), `SELECT has_database_privilege('public'::name, current_database(), 'CONNECT'),
		has_database_privilege('public'::name, current_database(), 'TEMPORARY'),
		has_schema_privilege('public'::name, 'public', 'CREATE')`).Scan(&may.Connect, &may.Temporary, &may.Create))
	return may
}

// ordinary returns pools on a new database, a superuser's and that of a role that is none.
func ordinary(t *testing.T) (super, role *pgxpool.Pool, name string) {
	t.Helper()
	name = "role_" + strings.ToLower(rand.Text()[:10])
	admin, err := pgx.ConnectConfig(t.Context(), pgtest.Admin(t))
	must(t, err)
	_, err = admin.Exec(t.Context(), "CREATE ROLE "+name+" LOGIN PASSWORD 'secret'")
	must(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := admin.Exec(ctx, "DROP ROLE "+name)
		must(t, err)
		must(t, admin.Close(ctx))
	})
	cfg := pgtest.Database(t)
	super = newPool(t, cfg)
	cfg = cfg.Copy()
	cfg.ConnConfig.User, cfg.ConnConfig.Password = name, "secret"
	_, err = super.Exec(t.Context(), "GRANT CREATE ON SCHEMA public TO PUBLIC")
	must(t, err)
	return super, newPool(t, cfg), name
}

func TestMigrateShutsTheDatabaseToEverybodyElse(t *testing.T) {
	t.Parallel()
	super, owner, name := ordinary(t)
	database := pgx.Identifier{super.Config().ConnConfig.Database}.Sanitize()
	_, err := super.Exec(t.Context(), "ALTER DATABASE "+database+" OWNER TO "+name)
	must(t, err)
	// As it is from version 15 on. Before, the schema is a superuser's, who alone can take anything from PUBLIC.
	_, err = super.Exec(t.Context(), "ALTER SCHEMA public OWNER TO pg_database_owner")
	must(t, err)
	must(t, registry.Migrate(t.Context(), owner))
	if may := whatPublicMay(t, super); may != (publicMay{}) {
		t.Errorf("PUBLIC still may: %+v", may)
	}
	owner.Reset()
	must(t, registry.Migrate(t.Context(), owner)) // and it can come back
}

func TestMigrateByASuperuserShutsTheDatabase(t *testing.T) {
	t.Parallel()
	super, stranger, _ := ordinary(t)
	must(t, registry.Migrate(t.Context(), super))
	if may := whatPublicMay(t, super); may != (publicMay{}) {
		t.Errorf("PUBLIC still may: %+v", may)
	}
	if err := stranger.Ping(t.Context()); err == nil {
		t.Error("a stranger can connect")
	}
}

func TestMigrateLeavesADatabaseThatIsAnothersAsItIs(t *testing.T) {
	t.Parallel()
	super, guest, name := ordinary(t)
	database := pgx.Identifier{super.Config().ConnConfig.Database}.Sanitize()
	_, err := super.Exec(t.Context(), "GRANT CREATE ON DATABASE "+database+" TO "+name)
	must(t, err)
	must(t, registry.Migrate(t.Context(), guest))
	if may := whatPublicMay(t, super); may != (publicMay{true, true, true}) {
		t.Errorf("PUBLIC may: %+v, want all", may)
	}
}

// TestNoOverloadInPublicIsTakenForPostgreSQLsOwn plants better matches for the arguments of ambiguous calls.
func TestNoOverloadInPublicIsTakenForPostgreSQLsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const body = ` LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END'`
	f.exec(t, `CREATE FUNCTION public.trap(bigint, text) RETURNS text`+body)
	f.exec(t, `CREATE OPERATOR public.|| (LEFTARG = bigint, RIGHTARG = text, FUNCTION = public.trap)`)
	f.exec(t, `CREATE FUNCTION public.pg_advisory_lock(text) RETURNS void`+body)
	must(t, registry.Migrate(t.Context(), f.pool))
	id := f.active(t, "acme")
	session, _ := f.open(t, "acme")
	must(t, f.CloseSession(t.Context(), session.ID))
	must(t, f.Suspend(t.Context(), id))
}

func TestOwnConnectionsSearchPgCatalogAlone(t *testing.T) {
	t.Parallel()
	conn, err := registry.Connect(t.Context(), newPool(t, pgtest.Database(t)))
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	var path string
	must(t, conn.QueryRow(t.Context(), `SHOW search_path`).Scan(&path))
	if path != "pg_catalog" {
		t.Errorf("search_path is %q", path)
	}
}
