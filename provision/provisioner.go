package provision

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nrednav/cuid2"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/connstring"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Provisioner creates, upgrades, drops and reconciles tenants. It is safe for concurrent use, and any number of them,
// in any number of processes, may share a registry. It has nothing to close, and holds no connection between calls
// unless [Provisioner.Run] runs, which it must in at least one process: then those of Config.WarmConns, one to the
// maintenance database of each server, and another one where it made a database in the last 10 s.
type Provisioner struct {
	cfg     Config
	catalog *catalog.Catalog
	names   names
	hash    string        // of cfg.Schema
	owner   string        // names this provisioner in its claims
	wake    chan struct{} // has room for one: a pass of Run is due
	taken   chan struct{} // has room for one: a sign-up took from the stock, or found none

	held held // connections to warm databases
	kept kept // sessions on maintenance databases

	figures figures

	mu    sync.Mutex      // guards ready; held for nothing but reading and writing it
	ready map[string]bool // servers that have the shared roles and the template
}

// New returns a Provisioner. Its error names every field of cfg that is wrong.
func New(cfg Config) (*Provisioner, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var err error
	if cfg.Admin, err = connstring.Remove(cfg.Admin); err != nil { // a Schema gets configurations that come from it
		return nil, fmt.Errorf("provision: Config.Admin: %w", pgerr.Redact(err))
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &Provisioner{
		cfg:     cfg,
		catalog: catalog.Of(cfg.Registry),
		names:   names{prefix: cfg.Prefix},
		hash:    cfg.Schema.Hash(),
		owner:   fmt.Sprintf("%s/%d/%s", host, os.Getpid(), cuid2.Generate()),
		wake:    make(chan struct{}, 1),
		taken:   make(chan struct{}, 1),
		held:    held{conns: map[tenancy.ID]heldConn{}},
		kept:    kept{sessions: map[where]keptSession{}},
		ready:   map[string]bool{},
	}, nil
}

// wakeUp makes the next pass begin at once of whoever rests on wake.
func wakeUp(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default: // one is due already
	}
}

// cleanupTimeout bounds what must still be written when the caller's context has ended.
const cleanupTimeout = 10 * time.Second

// detached is a bounded context that goes on when ctx ends.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
}
