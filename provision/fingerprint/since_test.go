package fingerprint_test

// changesSince are changes that can be made from a major version of PostgreSQL on.
var changesSince = map[int][]change{
	15: {
		{"unlogged sequence", "ALTER SEQUENCE ticket SET UNLOGGED", "+ sequence public.ticket: unlogged"},
		{"published table", "CREATE PUBLICATION p FOR TABLE member (id, age) WHERE (id > 3)", "columns age, id where (id > 3)"},
		{"published schema", "CREATE PUBLICATION p FOR TABLES IN SCHEMA public", "+ object publication of schema public in publication p"},
		{"grant on a schema", "GRANT CREATE ON SCHEMA public TO PUBLIC", "+ grant schema public to PUBLIC: CREATE, USAGE"},
		{"nulls not distinct", "DROP INDEX member_code; CREATE UNIQUE INDEX member_code ON member (code) NULLS NOT DISTINCT WHERE age > 18", "NULLS NOT DISTINCT"},
		{"constraint without distinct nulls", "ALTER TABLE member DROP CONSTRAINT member_email, ADD CONSTRAINT member_email UNIQUE NULLS NOT DISTINCT (email)", "UNIQUE NULLS NOT DISTINCT"},
		{"foreign key that empties one column", "ALTER TABLE member DROP CONSTRAINT member_team, ADD CONSTRAINT member_team FOREIGN KEY (team_id) REFERENCES team ON DELETE SET NULL (team_id)", "ON DELETE SET NULL (team_id)"},
		{"view as its caller", "ALTER VIEW roster SET (security_invoker = true)", "security_invoker"},
	},
	16: {
		{"collation with rules", "DROP COLLATION ci; CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false, rules = '& a < g')", "& a < g"},
	},
	17: {
		{"grant of maintenance", "GRANT MAINTAIN ON member TO PUBLIC", "+ grant table public.member to PUBLIC: MAINTAIN"},
		{"collation of PostgreSQL's own", "CREATE COLLATION own (provider = builtin, locale = 'C.UTF-8')", `"colllocale": "C.UTF-8"`},
		{"event of a log-in", "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER et ON login EXECUTE FUNCTION e()", "+ event trigger et: login"},
		{"expression of a generated column", "ALTER TABLE team ALTER COLUMN doubled SET EXPRESSION AS (size * 3)", "generated s (size * 3)"},
		{"access method of a partitioned table", "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; ALTER TABLE event SET ACCESS METHOD heap2", "+ partitioned table public.event: using heap2"},
		{"named domain not null", "ALTER DOMAIN email ADD CONSTRAINT given NOT NULL", "+ constraint public.email.given: NOT NULL"},
	},
	18: {
		{"virtual column", "ALTER TABLE team ADD COLUMN tripled integer GENERATED ALWAYS AS (size * 3) VIRTUAL", "+ column public.team.tripled: integer generated v (size * 3)"},
		{"stored column made virtual", "ALTER TABLE team DROP COLUMN doubled, ADD COLUMN doubled integer GENERATED ALWAYS AS (size * 2)", "+ column public.team.doubled: integer generated v"},
		{"check not enforced", "ALTER TABLE member DROP CONSTRAINT member_age, ADD CONSTRAINT member_age CHECK (age > 0) NOT ENFORCED", "NOT ENFORCED"},
		{"foreign key not enforced", "ALTER TABLE member ALTER CONSTRAINT member_team NOT ENFORCED", "NOT ENFORCED"},
		{"not null not valid", "ALTER TABLE team ADD CONSTRAINT given NOT NULL note NOT VALID", "+ constraint public.team.given: NOT NULL note NOT VALID"},
		{"not null no inherit", "ALTER TABLE base ADD CONSTRAINT given NOT NULL id NO INHERIT", "+ constraint public.base.given: NOT NULL id NO INHERIT"},
		{"not null of the heirs too", "ALTER TABLE base ADD CONSTRAINT given NOT NULL id NO INHERIT; ALTER TABLE base ALTER CONSTRAINT given INHERIT", "+ column public.derived.id: integer not null"},
		{"named not null", "ALTER TABLE team RENAME CONSTRAINT team_name_not_null TO given", "+ constraint public.team.given: NOT NULL name"},
		{"key without overlaps", "CREATE TABLE stay (room int4range, during daterange, CONSTRAINT stay_pkey PRIMARY KEY (room, during WITHOUT OVERLAPS))", "+ constraint public.stay.stay_pkey: PRIMARY KEY (room, during WITHOUT OVERLAPS)"},
		{"foreign key of a period", "CREATE TABLE stay (room int4range, during daterange, PRIMARY KEY (room, during WITHOUT OVERLAPS)); CREATE TABLE guest (room int4range, during daterange, CONSTRAINT there FOREIGN KEY (room, PERIOD during) REFERENCES stay (room, PERIOD during))", "+ constraint public.guest.there: FOREIGN KEY (room, PERIOD during) REFERENCES"},
		{"published generated columns", "CREATE PUBLICATION p WITH (publish_generated_columns = stored)", `"pubgencols": "s"`},
		{"default privileges on large objects", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON LARGE OBJECTS TO PUBLIC", "+ default grant L to PUBLIC: SELECT"},
	},
}
