// Package atlas makes a [provision.Schema] from SQL files, from Atlas HCL, from versioned migrations, or by way of the
// Atlas command.
//
//	//go:embed schema/*.sql
//	var files embed.FS
//
//	schema, err := atlas.SQL(atlas.Config{FS: files, Files: []string{"schema/*.sql"}})
//
// New databases get everything that the files say: SQL is run as it stands, views, functions, policies and all.
// Databases that exist are compared with a database that was built so, and brought to it by Atlas's open library, in
// the process, in one transaction, under an advisory lock and with time-outs. Before the commit the caller's Verify
// compares the catalogues. Unless they are equal, nothing of the upgrade stays.
//
// [Migrations] needs no comparison to know what to do, so its files can change every kind of object and rename; the
// catalogues are compared all the same. Between two of its files a database is neither old nor new, and not stamped.
//
// # Limits
//
// Atlas's open library works on the schema "public" and on tables, columns, indexes, keys, checks and enums. It does
// not see views, materialized views, functions, procedures, triggers, policies and the row security of a table, grants,
// extensions, sequences of their own, domains, composite and range types, rules, partitions, inheritance, extended
// statistics, DEPENDS ON EXTENSION, storage parameters, DEFERRABLE, NOT VALID, NOT ENFORCED, MATCH FULL, WITHOUT
// OVERLAPS, UNLOGGED, VIRTUAL columns, names given to NOT NULL, replica identities and collations of columns and
// indexes. An upgrade that would need a change of those is refused: with [UnsupportedError] where it is known before,
// else by Verify. It is never stamped as done. Put such objects into Config.Repeatable (CREATE OR REPLACE, DROP … IF
// EXISTS then CREATE, ALTER … ENABLE ROW LEVEL SECURITY), which is run after the tables' changes. A foreign key with
// PERIOD (PostgreSQL 18) it cannot even read: no database that has one is upgraded, nor by Migrations.
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
// Of a dry run's changes it is known that they are planned and allowed, not that Verify would accept their result.
package atlas
