package registry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
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
	following following
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
		db:        &regdb.DB{Pool: cfg.Pool, Keys: cfg.Keyring, Secrets: secrets, Silence: regdb.MaxSilence},
		poll:      cmp.Or(cfg.PollInterval, defaultPollInterval),
		heartbeat: cmp.Or(cfg.Heartbeat, defaultHeartbeat),
		logger:    cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		born:      time.Now(),
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
	return r.following.check(time.Now(), max(3*r.poll, followPatience))
}

// Internal returns what the other packages of this module need of r. Its type is internal: no other module can use it.
func (r *Registry) Internal() *regdb.DB { return r.db }
