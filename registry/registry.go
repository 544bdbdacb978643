package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Registry is the catalogue of servers, tenants, admins and sessions. It keeps nothing in memory, but the figures of
// Follow, so that any number of processes may share one database, and is safe for concurrent use. It is a
// [tenancy.Directory].
type Registry struct {
	db        *regdb.DB
	poll      time.Duration
	heartbeat time.Duration
	logger    *slog.Logger
	born      time.Time

	attributes bool // Config.Attributes

	following following

	eventAge   time.Duration
	eventCount int
}

var _ tenancy.Directory = (*Registry)(nil)

// New returns a Registry on the database of cfg.Pool, without connecting to it. Its error names every field of cfg
// that is wrong.
func New(cfg Config) (*Registry, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	secrets := make(map[string]regdb.SecretSource, len(cfg.Secrets))
	for scheme, source := range cfg.Secrets {
		secrets[scheme] = source
	}
	return &Registry{
		db: &regdb.DB{
			Pool: cfg.Pool, Keys: cfg.Keyring, Secrets: secrets, IdleTimeout: regdb.IdleTimeout,
			SharedEmails: cfg.SharedEmails,
		},
		poll:      cmp.Or(cfg.PollInterval, defaultPollInterval),
		heartbeat: cmp.Or(cfg.Heartbeat, defaultHeartbeat),
		logger:    cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		born:      time.Now(),

		attributes: cfg.Attributes,
		eventAge:   cmp.Or(cfg.EventAge, defaultEventAge),
		eventCount: cmp.Or(cfg.EventCount, defaultEventCount),
	}, nil
}

// Format implements [fmt.Formatter]: under every verb a Registry shows nothing; %s would print the keys.
func (*Registry) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "registry") }

// Check reports whether the registry can be read and has been migrated, by one query, and whether a Follow of this
// Registry that runs reads it too: if its last read is more than three Config.PollInterval ago, and half a minute, this
// process does not hear of changes. ctx governs it. It is meant for a readiness probe; its status is 503.
func (r *Registry) Check(ctx context.Context) error {
	var version int64
	if err := r.db.QueryRow(ctx, "check", `SELECT version FROM pgtenancy.feed WHERE id = 1`, nil, &version); err != nil {
		return err
	}
	return r.following.check(time.Now(), max(3*r.poll, maxReadAge))
}

// Internal returns what the other packages of this module need of r. Its type is internal: no other module can use it.
func (r *Registry) Internal() *regdb.DB { return r.db }

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

	// SharedEmails lets the admins of several tenants have one e-mail: a person who works for several customers. The
	// database keeps either rule, also where two sign-ups come at once. Give every process the same. What is there when
	// it is changed stays. Default: an e-mail belongs to one tenant, and a second sign-up with it gets [ErrEmailTaken].
	SharedEmails bool

	// Attributes has Lookup return what SetAttributes keeps, for [tenancy.Lease.Tenant]. It costs a look-up a decryption,
	// and a hit nothing. Default: it does not.
	Attributes bool

	// Secrets has a source for each scheme of reference that SetPasswordRef takes, such as "env", "file" or "vault".
	// Default: none, and every reference is refused.
	Secrets map[string]SecretSource

	// PollInterval is how often Follow looks for changes without a notification. It bounds how long a change stays
	// unseen when a notification is lost. When the connection dies silently, the wait for the poll's answer comes on
	// top, which is as long but 2 s at least, and then a new connection. Default: 5 s.
	PollInterval time.Duration

	// Heartbeat is how often a Share shows that its process lives. Give every process the same. Default: 1 s.
	Heartbeat time.Duration

	// EventAge is how long TrimEvents leaves an event. Default: 400 days.
	EventAge time.Duration

	// EventCount is how many events TrimEvents leaves, the newest; a million take about 200 MB. Default: 1,000,000.
	EventCount int

	// Logger hears at level Warn that Follow or a Share cannot reach the registry, once for each row of failures, and
	// at level Info that it can again; and at level Warn that changes were lost, and that a Share has no connection for
	// longer than a newcomer waits, and that this is over. Default: discards.
	Logger *slog.Logger
}

const (
	defaultPollInterval = 5 * time.Second
	defaultHeartbeat    = time.Second
	defaultEventAge     = 400 * 24 * time.Hour
	defaultEventCount   = 1_000_000
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
	if c.EventAge < 0 {
		errs = append(errs, errors.New("registry: Config.EventAge: must not be negative"))
	}
	if c.EventCount < 0 {
		errs = append(errs, errors.New("registry: Config.EventCount: must not be negative"))
	}
	return errors.Join(errs...)
}
