// Package devpg finds a PostgreSQL server or starts one, for tests and for the example.
//
// It looks for DATABASE_URL first. Without it, it takes the PostgreSQL programs of this machine and starts a server
// of its own: on 127.0.0.1 and a free port, with a random password, in a directory that only its owner can enter. Where
// no PostgreSQL is installed, it fetches a build whose digest is pinned here, once, into the user's cache (root's:
// /var/cache): for Linux with glibc and macOS, on x86-64 and arm64.
// A temporary server is built for speed and for many small databases (fsync and autovacuum are off, shared_buffers is
// 16 MB, and its files are in memory where there is plenty); a server with a directory to keep is as durable as
// PostgreSQL is.
//
// The server ends with the process that started it, and so does a temporary directory. That holds for kill -9 as well:
// a shell waits for the end of the process, and cleans up after it. On Linux, the kernel signals the server too.
//
// The package is no place for data that matters. It changes nothing on the machine but that cache.
package devpg
