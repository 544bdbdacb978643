// Package pgtest gives a test package a PostgreSQL server of its own and fails it when goroutines are left over.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// The server starts with the first test that asks for it. If DATABASE_URL names a server, that one is used, and what the
// tests of this package made there is dropped again.
package pgtest
