package atlas

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/scratch"
	"github.com/pgtenancy/pgtenancy/provision"
)

// lockDatabase connects to the database of cfg and takes the lock of upgrades. Closing the connection releases it.
//
// It asks again and again instead of waiting in the server: CREATE INDEX CONCURRENTLY waits for every query that is
// under way, so a query that waits for the holder's lock would be a deadlock.
func lockDatabase(ctx context.Context, cfg *pgx.ConnConfig, p provision.Policy) (_ *pgx.Conn, err error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", redact(ctx, err))
	}
	defer func() {
		if err != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	if err := freshen(ctx, conn, p); err != nil {
		return nil, fmt.Errorf("lock: %w", redact(ctx, err))
	}
	const pause = 20 * time.Millisecond
	timeout := time.Duration(milliseconds(p.LockTimeout, defaultLockTimeout)) * time.Millisecond
	for start := time.Now(); ; {
		var locked bool
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_try_advisory_lock($1::bigint)",
			int64(advisoryLock)).Scan(&locked); err != nil {
			return nil, fmt.Errorf("lock: %w", redact(ctx, err))
		}
		if locked {
			return conn, nil
		}
		if timeout > 0 && time.Since(start) > timeout {
			return nil, ErrLocked
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// freshen makes the settings of a session those of a new one, with the policy's time-outs and a pinned search_path.
func freshen(ctx context.Context, conn *pgx.Conn, p provision.Policy) error {
	_, err := conn.PgConn().Exec(ctx, fmt.Sprintf("RESET ALL; RESET ROLE; SET search_path = pg_catalog, pg_temp; "+
		"SET lock_timeout = %d; SET statement_timeout = %d",
		milliseconds(p.LockTimeout, defaultLockTimeout), milliseconds(p.StatementTimeout, defaultStatementTimeout))).ReadAll()
	return err
}

// withScratch makes an empty database on the server of cfg, which no other role may enter, calls f, and drops it. The
// atlas command wipes its dev database, so that must never be one with data in it.
func withScratch(ctx context.Context, cfg *pgx.ConnConfig, f func(*pgx.ConnConfig) error) (err error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect: %w", redact(ctx, err))
	}
	dev := cfg.Copy()
	dev.Database = "pgtenancy_dev_" + strings.ToLower(rand.Text())
	name := pgx.Identifier{dev.Database}.Sanitize()
	defer func() {
		// Also when ctx has ended, and on a connection of its own: that of ctx may be gone with it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_ = conn.Close(ctx)
		err = errors.Join(err, dropScratch(ctx, cfg, name))
	}()
	if err := scratch.Create(ctx, conn, dev.Database, "template0", ""); err != nil {
		return fmt.Errorf("scratch database: %w", redact(ctx, err))
	}
	if err := scratch.Open(ctx, conn, dev.Database); err != nil {
		return fmt.Errorf("scratch database: %w", redact(ctx, err))
	}
	return f(dev)
}

func dropScratch(ctx context.Context, cfg *pgx.ConnConfig, name string) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("scratch database %s stays: %w", name, redact(ctx, err))
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("scratch database %s stays: %w", name, redact(ctx, err))
	}
	return nil
}

// databaseURL leads the atlas command to a database. It holds the password: it goes into an environment variable and
// nowhere else.
func databaseURL(cfg *pgx.ConnConfig, p provision.Policy) string {
	query := url.Values{
		"sslmode":           {sslMode(cfg)},
		"lock_timeout":      {strconv.FormatInt(milliseconds(p.LockTimeout, defaultLockTimeout), 10)},
		"statement_timeout": {strconv.FormatInt(milliseconds(p.StatementTimeout, defaultStatementTimeout), 10)},
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Path: "/" + cfg.Database}
	port := strconv.Itoa(int(cfg.Port))
	switch {
	case strings.HasPrefix(cfg.Host, "/"): // a directory with a Unix socket
		query.Set("host", cfg.Host)
		query.Set("port", port)
	case strings.Contains(cfg.Host, ":"):
		u.Host = "[" + cfg.Host + "]:" + port
	default:
		u.Host = cfg.Host + ":" + port
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// sslMode is the mode that asks no less than cfg's TLS settings. A root certificate of one's own goes into
// CLIConfig.Env, as PGSSLROOTCERT.
func sslMode(cfg *pgx.ConnConfig) string {
	switch {
	case cfg.TLSConfig == nil:
		return "disable"
	case !cfg.TLSConfig.InsecureSkipVerify:
		return "verify-full"
	case cfg.TLSConfig.VerifyPeerCertificate != nil || cfg.TLSConfig.VerifyConnection != nil:
		return "verify-ca"
	}
	return "require"
}
