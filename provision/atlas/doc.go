// Package atlas makes a [provision.Schema] from SQL files, from Atlas HCL, from versioned migrations, or by way of the
// Atlas command.
//
//	//go:embed schema/*.sql
//	var files embed.FS
//
//	schema, err := atlas.SQL(atlas.Config{FS: files, Files: []string{"schema/*.sql"}})
//
// A new database gets everything in the files: SQL runs as it stands, with views, functions and policies. An upgrade
// compares a database with another that was built so, and Atlas's open library changes it in process, in one
// transaction, under an advisory lock and with time-outs. Before the commit the caller's Verify compares the
// catalogues. Unless they are equal, nothing of the upgrade stays.
//
// [Migrations] runs files in order, so they can change every kind of object, and rename. Verify compares the catalogues
// all the same. Between two of its files a database has neither the old schema nor the new, and no stamp.
//
// # Where to begin
//
// [SQL] and [HCL]: config.go, sql.go and hcl.go make the schema, upgrade.go upgrades a database. There, session.go is
// the connection with its lock and time-outs, model.go what the wanted schema is, classify.go says which changes
// destroy, and unsupported.go which ones the library cannot make. [Migrations]: migrations.go is the schema,
// migration.go one file, revision.go the table of what was run, migrationrun.go how files run. [CLI]: cli.go, then
// clirun.go (the command) and clidb.go (its databases).
//
// Invariants: nothing is committed before Verify, except by Migrations and CLI, which call Unstamp first; no change
// that destroys is made unless Policy.Allow names it; no statement waits without a time-out.
//
// # Limits
//
// Atlas's open library works on the schema "public" and on tables, columns, indexes, keys, checks and enums. It does
// not see views, materialized views, functions, procedures, triggers, policies and the row security of a table, grants,
// extensions, sequences of their own, domains, composite and range types, rules, partitions, inheritance, extended
// statistics, DEPENDS ON EXTENSION, storage parameters, DEFERRABLE, NOT VALID, NOT ENFORCED, MATCH FULL, WITHOUT
// OVERLAPS, UNLOGGED, VIRTUAL columns, names given to NOT NULL, replica identities and collations of columns and
// indexes. An upgrade that needs a change of those returns an [UnsupportedError], or the error of Verify where the plan
// does not show it. The tenant gets no stamp. Put such objects into Config.Repeatable (CREATE OR REPLACE, DROP … IF
// EXISTS then CREATE, ALTER … ENABLE ROW LEVEL SECURITY), which is run after the tables' changes. A foreign key with
// PERIOD (PostgreSQL 18) it cannot even read: a database that has one is not upgraded, not even by Migrations.
//
// Destructive changes are refused with [provision.DestructiveError] unless Policy.Allow names them: dropping a table, a
// column, an enum value, a primary key, a unique index or constraint, an exclusion constraint, a foreign key or a
// check, changing a unique index or an exclusion constraint, and changing a column to a type that cannot hold every
// value of the old one. A kind of change that this package does not know is refused always.
//
// A rename is a drop and an add, and so is refused: rename by hand in each database, with Migrations, or add, copy and
// drop in three releases. PostgreSQL cannot use an enum value in the transaction that added it (55P04): add it in one
// upgrade, use it in the next. Indexes are built without CONCURRENTLY, which no transaction can contain: they block
// writes to their table while they are built.
//
// A dry run shows that the changes are planned and allowed, not that Verify would accept their result.
package atlas
