// Package pgtest holds what the tests of all packages share. It gives a test package a PostgreSQL server, and fails it
// when goroutines are left over.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// The server starts with the first test that asks for it. If DATABASE_URL names a server, that one is used, and what
// the tests of this package made there is dropped again.
//
//   - Main runs a package's tests and stops the server; Leaks does it for packages without PostgreSQL.
//   - Admin is a superuser's connection; Database an empty database; Migrated a database with the registry's tables.
//   - Program finds a program of PostgreSQL, such as pg_dump.
//   - Pooler is a PgBouncer in front of the server.
//   - Missing ends a test for which a program is missing: it skips the test, or fails it in CI.
//   - Cluster is a server that one test has for itself. Take it for tests that disturb all sessions of a server: a lock
//     on a catalogue that its databases share, a backend that is stopped, a crash, a limit that is reached, ALTER
//     SYSTEM.
//   - Eventually, Receive and Wait wait for a condition, a channel and a group. After a minute, a group after five,
//     they end the test, and say what did not come and what each goroutine does. Context bounds a call in the same way.
//     No test waits otherwise, unless testing/synctest finds its deadlocks.
//   - Size chooses between the short form of a test and its long form, and Figure reports what it measured.
//   - Mutations yields inputs for properties that must hold for millions of them.
package pgtest
