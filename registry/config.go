package registry

import (
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

// Config configures a [Registry]. Pool and Keyring are required.
type Config struct {
	// Pool leads to the registry's database, which Migrate has made ready. The caller closes it, after the Registry's
	// last call has returned. Follow opens one more connection with the same settings; if a pooler in transaction
	// mode is in between, notifications are lost and only the poll is left.
	//
	// If others may create objects in a schema of its search_path, set the runtime parameter search_path to pg_catalog:
	// tables are named with their schema here, but a function or operator that is a better match for its arguments
	// than PostgreSQL's own goes before it, wherever on the path it is (manual, 5.9.6). The connections that this
	// package opens for itself have it so.
	Pool *pgxpool.Pool

	// Keyring holds the keys for e-mails, passwords and sessions.
	Keyring *keyring.Keyring

	// Secrets has a source for each scheme of reference that SetPasswordRef takes, such as "env", "file" or "vault".
	// Default: none, and every reference is refused.
	Secrets map[string]SecretSource

	// PollInterval is how often Follow looks for changes without a notification. It bounds how long a change stays
	// unseen when a notification is lost. When the connection dies silently, the wait for the poll's answer comes on
	// top, which is as long but 2 s at least, and then a new connection. Default: 5 s.
	PollInterval time.Duration

	// Heartbeat is how often a Share shows that its process lives. Give every process the same. Default: 1 s.
	Heartbeat time.Duration

	// Logger hears at level Warn that Follow or a Share cannot reach the registry, once for each row of failures, and
	// at level Info that it can again; and at level Warn that changes were lost, and that a Share has no connection for
	// longer than a newcomer waits, and that this is over. Default: discards.
	Logger *slog.Logger
}

const (
	defaultPollInterval = 5 * time.Second
	defaultHeartbeat    = time.Second
)

func (c *Config) validate() error {
	var errs []error
	if c.Pool == nil {
		errs = append(errs, errors.New("registry: Config.Pool: must be set"))
	}
	if c.Keyring == nil {
		errs = append(errs, errors.New("registry: Config.Keyring: must be set"))
	}
	if c.PollInterval < 0 {
		errs = append(errs, errors.New("registry: Config.PollInterval: must not be negative"))
	}
	if c.Heartbeat < 0 {
		errs = append(errs, errors.New("registry: Config.Heartbeat: must not be negative"))
	}
	return errors.Join(errs...)
}
