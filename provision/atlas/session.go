package atlas

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/provision"
)

// public is the schema that Atlas works on.
const public = "public"

// advisoryLock is what upgrades of one database exclude each other by. Advisory locks belong to a database, so the
// number is the same in each. It is "pgtenanc" in ASCII.
const advisoryLock = 0x706774656e616e63

const (
	defaultLockTimeout      = 3 * time.Second
	defaultStatementTimeout = 5 * time.Minute
)

// session is one transaction on one connection, seen by database/sql, which Atlas needs, and by pgx. Atlas gets the
// transaction and never a *sql.DB: it changes search_path and expects the next query on the same connection.
type session struct {
	db   *sql.DB
	conn *sql.Conn
	tx   *sql.Tx
}

// pin has bare names mean PostgreSQL's own objects alone, until the end of the transaction: others may have made some
// in the schemas of the default path, of which a call could pick a better match. unpin gives the default path back, for
// what was written for it.
const (
	pin   = "SET LOCAL search_path = pg_catalog, pg_temp"
	unpin = "SET LOCAL search_path TO DEFAULT"
)

// begin connects to the database of cfg and begins a transaction, which is pinned. The caller must close the session.
func begin(ctx context.Context, cfg *pgx.ConnConfig) (*session, error) {
	s := &session{db: stdlib.OpenDB(*cfg.Copy())}
	var err error
	if s.conn, err = s.db.Conn(ctx); err == nil {
		s.tx, err = s.conn.BeginTx(ctx, nil)
	}
	if err == nil {
		_, err = s.tx.ExecContext(ctx, pin)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("connect: %w", redact(ctx, err))
	}
	return s, nil
}

// close rolls back what was not committed, and closes the connection.
func (s *session) close() {
	if s.tx != nil {
		_ = s.tx.Rollback()
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}

// pgx calls f with the session's connection.
func (s *session) pgx(f func(*pgx.Conn) error) error {
	return s.conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return errors.New("atlas: connection is not pgx's")
		}
		return f(c.Conn())
	})
}

// lock sets the policy's time-outs for the transaction, and waits for its turn to change the database.
func (s *session) lock(ctx context.Context, p provision.Policy) error {
	settings := fmt.Sprintf("SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = %d",
		milliseconds(p.LockTimeout, defaultLockTimeout), milliseconds(p.StatementTimeout, defaultStatementTimeout))
	if _, err := s.tx.ExecContext(ctx, settings); err != nil {
		return err
	}
	_, err := s.tx.ExecContext(ctx, "SELECT pg_catalog.pg_advisory_xact_lock($1::bigint)", int64(advisoryLock))
	return err
}

// milliseconds is d as a PostgreSQL time-out: zero is def, negative is none.
func milliseconds(d, def time.Duration) int64 {
	switch {
	case d == 0:
		d = def
	case d < 0:
		return 0
	}
	return max(1, d.Milliseconds())
}

// inspect reads what Atlas sees of the database. Both sides of a comparison must be read this way: the scope of an
// inspection decides how types are spelled in expressions.
func (s *session) inspect(ctx context.Context) (migrate.Driver, *schema.Schema, error) {
	driver, err := postgres.Open(s.tx)
	if err != nil {
		return nil, nil, err
	}
	realm, err := driver.InspectRealm(ctx, &schema.InspectRealmOption{Schemas: []string{public}})
	if pgerr.IsState(err, pgerr.CardinalityViolation) {
		return nil, nil, errPeriod
	}
	if err != nil {
		return nil, nil, err
	}
	found, ok := realm.Schema(public)
	if !ok {
		return nil, nil, errors.New("database has no schema public")
	}
	return driver, found, nil
}
