package registry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Registry is the catalogue of servers, tenants, admins and sessions. It keeps nothing in memory, but the figures of
// Follow, so that any number of processes may share one database, and is safe for concurrent use. It is a
// [tenancy.Directory].
type Registry struct {
	pool      *pgxpool.Pool
	keys      *Keyring
	secrets   map[string]SecretSource // by scheme
	poll      time.Duration
	heartbeat time.Duration
	silence   time.Duration // see maxSilence
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
	return &Registry{
		pool:      cfg.Pool,
		keys:      cfg.Keyring,
		secrets:   maps.Clone(cfg.Secrets),
		poll:      cmp.Or(cfg.PollInterval, defaultPollInterval),
		heartbeat: cmp.Or(cfg.Heartbeat, defaultHeartbeat),
		silence:   maxSilence,
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
	if err := r.queryRow(ctx, "check", `SELECT version FROM pgtenancy.feed WHERE id = 1`, nil, &version); err != nil {
		return err
	}
	return r.following.check(time.Now(), max(3*r.poll, followPatience))
}
