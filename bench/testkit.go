package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // pgtestdb opens its driver by name
	"github.com/peterldowns/pgtestdb"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

// testKit is what a test pays for a database of its own: made, queried once and dropped.
func testKit(ctx context.Context, s *suite) (err error) {
	server, err := devpg.Start(ctx, devpg.Config{Own: true, Settings: map[string]string{"max_connections": "300"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	admin := server.Config()
	place := url.URL{
		Scheme: "postgres", User: url.UserPassword(admin.User, admin.Password), Path: "postgres",
		Host: net.JoinHostPort(admin.Host, strconv.Itoa(int(admin.Port))), RawQuery: "sslmode=disable",
	}
	if err := os.Setenv("TENANCYTEST_DATABASE_URL", place.String()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tenancytest.Stop(), os.Unsetenv("TENANCYTEST_DATABASE_URL")) }()
	rival := pgtestdb.Config{
		DriverName: "pgx", Host: admin.Host, Port: strconv.Itoa(int(admin.Port)), User: admin.User,
		Password: admin.Password, Database: "postgres", Options: "sslmode=disable",
	}
	own := func(t testing.TB) { tenantTest(t, tenancytest.New(t, kitConfig())) }
	contenders := []contender{
		{name: "pgtestdb.New", rival: true, run: tested(func(t testing.TB) { rivalTest(t, rival) })},
		{name: "tenancytest.New and Tenant", run: tested(own)},
	}
	for _, c := range contenders { // the templates
		if _, err := c.run(ctx); err != nil {
			return err
		}
	}
	runs, err := s.race(ctx, pick(s.short, 2, 60), "25 tables", contenders)
	if err != nil {
		return err
	}
	s.add(figure{
		Case: "25 tables", Subject: "tenancytest.New and Tenant", Metric: "times pgtestdb", Goal: atMost(1.2),
	}, ratios(runs[1], runs[0])...)
	return nil
}

func kitConfig() tenancytest.Config {
	return tenancytest.Config{Schema: tenancytest.SQL(tables{}.sql())}
}

const countAdmins = "SELECT count(*) FROM admins"

// tenantTest queries the database of a tenant, which the end of the test drops.
func tenantTest(t testing.TB, fleet *tenancytest.Fleet) {
	var n int
	if err := fleet.Tenant(t).Lease(t).Pool().QueryRow(t.Context(), countAdmins).Scan(&n); err != nil {
		t.Fatal(err)
	}
}

func rivalTest(t testing.TB, cfg pgtestdb.Config) {
	var n int
	if err := pgtestdb.New(t, cfg, rivalTables{}).QueryRowContext(t.Context(), countAdmins).Scan(&n); err != nil {
		t.Fatal(err)
	}
}

// rivalTables are the same tables for pgtestdb.
type rivalTables struct{}

// Hash implements [pgtestdb.Migrator].
func (rivalTables) Hash() (string, error) {
	sum := sha256.Sum256([]byte(tables{}.sql()))
	return hex.EncodeToString(sum[:16]), nil
}

// Migrate implements [pgtestdb.Migrator].
func (rivalTables) Migrate(ctx context.Context, db *sql.DB, _ pgtestdb.Config) error {
	_, err := db.ExecContext(ctx, tables{}.sql())
	return err
}

// tested measures f with its cleanups, in milliseconds.
func tested(f func(t testing.TB)) func(context.Context) (float64, error) {
	return timed(func(ctx context.Context) error {
		t := &test{ctx: ctx}
		done := make(chan struct{})
		go func() { // which a fatal error ends
			defer close(done)
			defer t.cleanUp()
			f(t)
		}()
		<-done
		return t.err
	})
}

// test is a test that runs outside of go test.
type test struct {
	testing.TB // nil: only the methods below are called

	ctx      context.Context //nolint:containedctx // as testing's has
	err      error
	cleanups []func()
}

func (t *test) cleanUp() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

func (t *test) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *test) Context() context.Context { return t.ctx }
func (t *test) Errorf(format string, args ...any) {
	t.err = errors.Join(t.err, fmt.Errorf(format, args...))
}
func (t *test) Failed() bool        { return t.err != nil }
func (t *test) Fatal(args ...any)   { t.Fatalf("%s", fmt.Sprint(args...)) }
func (t *test) Helper()             {}
func (t *test) Logf(string, ...any) {}

func (t *test) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}
