package provision_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// The attacker has the role of one tenant, and with it whatever it can say to PostgreSQL.
func TestRoleOfATenantReachesNothingOfAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t)
	n, signUps := pgtest.Size(4, 50), pgtest.Size(3, 200)
	tenants := make([]tenancy.Tenant, n)
	for i := range tenants {
		tenants[i] = f.create(t, p, fmt.Sprintf("t%02d", i)).Tenant
	}
	statements := f.tryStatements(t, tenants[0], tenants[1]) // first, so that the doors are tried after them

	refused, pairs := 0, 0
	try := func(as tenancy.Tenant, database string) {
		pairs++
		conn, err := f.connect(t.Context(), as, database)
		switch {
		case err == nil:
			_ = conn.Close(t.Context())
			t.Errorf("the role of %s connects to %s", as.ID, database)
		case state(err) != "42501":
			t.Errorf("the role of %s at %s: %v", as.ID, database, err)
		default:
			refused++
		}
	}
	for _, as := range tenants {
		for _, other := range tenants {
			if other.ID != as.ID {
				try(as, other.Endpoint.Database)
			}
		}
	}
	between := pairs
	for _, database := range []string{f.regCfg.ConnConfig.Database, f.admin.Database, "template1"} {
		try(tenants[0], database)
	}

	besieged := f.besiege(t, tenants[0])
	for i := range signUps {
		f.create(t, p, fmt.Sprintf("n%03d", i))
	}
	codes := besieged()
	for code := range codes {
		// No right to connect; takes no connections; not there yet. "" is success.
		if !slices.Contains([]string{"42501", "55000", "3D000"}, code) {
			t.Errorf("the door of a database that was being made answered %q", code)
		}
	}
	tries := 0
	for _, count := range codes {
		tries += count
	}
	if tries < signUps {
		t.Errorf("%d tries at %d doors", tries, signUps)
	}
	pgtest.Figure(t, "S11", "%d of %d pairs and shared databases refused with 42501 (%d pairs); %d tries at %d "+
		"databases while they were made, %d let in, %d of them before there was access; %d statements refused",
		refused, pairs, between, tries, signUps, codes[""], codes["55000"], statements)
}

// besiege has a role try every database that comes up, until the function that it returns is called. That returns how
// often each SQLSTATE was the answer.
func (f *fixture) besiege(t *testing.T, as tenancy.Tenant) (end func() map[string]int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := f.connect(t.Context(), as, as.Endpoint.Database) // from where the names of all can be read
	must(t, err)
	list := func() []string {
		rows, _ := conn.Query(t.Context(), "SELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1)",
			f.prefix)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Error(err)
		}
		return names
	}
	known := list()
	codes := make(map[string]int)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, name := range list() {
				if slices.Contains(known, name) {
					continue
				}
				c, err := f.connect(t.Context(), as, name)
				codes[state(err)]++
				if err == nil {
					_ = c.Close(t.Context())
				}
			}
		}
	}()
	return func() map[string]int {
		cancel()
		pgtest.Receive(t, "the connections end", done)
		must(t, conn.Close(context.WithoutCancel(t.Context())))
		return maps.Clone(codes)
	}
}

// tryStatements says what a role must not get away with, and returns how many statements were refused.
func (f *fixture) tryStatements(t *testing.T, as, other tenancy.Tenant) int {
	t.Helper()
	conn, err := f.connect(t.Context(), as, as.Endpoint.Database)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	victim, err := f.connect(t.Context(), other, other.Endpoint.Database)
	must(t, err)
	defer victim.Close(context.WithoutCancel(t.Context()))
	names := strings.NewReplacer(
		"$own", quoted(as.Endpoint.User), "$other", quoted(other.Endpoint.User), // databases have the names of the roles
		"$keeper", quoted(f.prefix+"_owner"), "$group", quoted(f.prefix+"_tenant"), "$admin", quoted(f.admin.User),
		"$pid", fmt.Sprint(victim.PgConn().PID()),
	)
	attributes := "SELECT concat_ws(' ', rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, " +
		"rolbypassrls, rolconnlimit, rolvaliduntil) FROM pg_roles WHERE rolname = $1"
	before := f.list(t, f.admin, attributes, as.Endpoint.User)
	refused := 0
	for _, sql := range statementsOfAnAttacker() {
		_, err := conn.Exec(t.Context(), names.Replace(sql))
		if state(err) != "42501" {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		refused++
	}
	// It has no right to give, of which PostgreSQL only warns. That it gave none, the doors show.
	_, err = conn.Exec(t.Context(), names.Replace("GRANT CONNECT ON DATABASE $own TO $other, PUBLIC"))
	must(t, err)
	if after := f.list(t, f.admin, attributes, as.Endpoint.User); after != before {
		t.Errorf("the role is %s, and was %s", after, before)
	}
	return refused
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

func statementsOfAnAttacker() []string {
	return []string{
		// Its database.
		"DROP DATABASE $own", "DROP DATABASE $other", "ALTER DATABASE $own RENAME TO mine", "ALTER DATABASE $own OWNER TO " +
			"$own",
		"ALTER DATABASE $own SET work_mem = '1GB'", "ALTER DATABASE $own ALLOW_CONNECTIONS false", "ALTER DATABASE $own " +
			"IS_TEMPLATE true",
		"ALTER DATABASE $other CONNECTION LIMIT 0", "COMMENT ON DATABASE $own IS 'x'", "COMMENT ON DATABASE $other IS 'x'",
		"CREATE DATABASE mine", "CREATE DATABASE mine TEMPLATE $other",
		// Its role, and others.
		"ALTER ROLE $own SUPERUSER", "ALTER ROLE $own CREATEDB", "ALTER ROLE $own CREATEROLE", "ALTER ROLE $own BYPASSRLS",
		"ALTER ROLE $own REPLICATION", "ALTER ROLE $own CONNECTION LIMIT -1", "ALTER ROLE $own VALID UNTIL 'infinity'",
		"ALTER ROLE $other PASSWORD 'x'", "ALTER ROLE $keeper LOGIN", "ALTER ROLE $group LOGIN", "COMMENT ON ROLE $own IS " +
			"'x'",
		"DROP ROLE $other", "DROP ROLE $group", "CREATE ROLE mine", "GRANT $keeper TO $own", "GRANT $other TO " +
			"$own", "GRANT $group TO $other",
		"SET ROLE $keeper", "SET ROLE $other", "SET ROLE $admin", "SET SESSION AUTHORIZATION $other", "SET SESSION " +
			"AUTHORIZATION $admin",
		"REASSIGN OWNED BY $keeper TO $own", "DROP OWNED BY $keeper",
		// What the schema made.
		"DROP TABLE members", "ALTER TABLE members ADD COLUMN x int", "TRUNCATE members", "CREATE INDEX ON members (name)",
		"CREATE TRIGGER x BEFORE INSERT ON members EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		"ALTER TABLE members DISABLE TRIGGER ALL", "CREATE POLICY x ON members",
		"ALTER FUNCTION shout(text) OWNER TO $own", "DROP FUNCTION shout(text)", "DROP SCHEMA public",
		// New things.
		"CREATE TABLE mine (i int)", "CREATE TABLE pg_catalog.mine (i int)", "CREATE TEMPORARY TABLE mine (i " +
			"int)", "CREATE SCHEMA mine",
		"CREATE VIEW mine AS SELECT 1", "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE TYPE " +
			"mine AS (i int)",
		"CREATE EXTENSION dblink", "CREATE PUBLICATION mine", "CREATE FOREIGN DATA WRAPPER mine",
		"CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION shout()", "CREATE TABLESPACE mine LOCATION '/tmp'",
		// The server.
		"ALTER SYSTEM SET work_mem = '1GB'", "SET session_replication_role = replica", "SET log_statement = 'none'",
		"COPY members TO PROGRAM 'id'", "COPY members FROM PROGRAM 'id'", "COPY members TO '/tmp/mine'", "COPY members " +
			"FROM '/etc/passwd'",
		"SELECT pg_read_file('/etc/passwd')", "SELECT pg_read_binary_file('PG_VERSION')", "SELECT " +
			"pg_ls_dir('.')", "SELECT lo_import('/etc/passwd')",
		"SELECT * FROM pg_authid", "SELECT * FROM pg_shadow", "SELECT * FROM pg_user_mapping", "SELECT * FROM pg_statistic",
		"SELECT * FROM pg_hba_file_rules", "SELECT * FROM pg_file_settings", "SELECT pg_reload_conf()", "SELECT " +
			"pg_switch_wal()",
		"SELECT pg_terminate_backend($pid)", "SELECT pg_cancel_backend($pid)", "SELECT " +
			"pg_create_physical_replication_slot('mine')",
		"SELECT pg_export_snapshot(), pg_promote()", "SELECT pg_stat_reset()", "SELECT pg_log_backend_memory_contexts($pid)",
	}
}
