package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nrednav/cuid2"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/connstring"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Provisioner creates, upgrades, drops and reconciles tenants. It is safe for concurrent use, and any number of them,
// in any number of processes, may share a registry. [Provisioner.Run] must run in at least one process.
//
// A Provisioner needs no Close. It holds connections between calls only while Run is running: Config.WarmConns on each
// server, one to the maintenance database of each server, and another one to that of each server on which it made a
// database in the last 10 s.
type Provisioner struct {
	cfg     Config
	catalog *catalog.Catalog
	names   names
	hash    string        // of cfg.Schema
	owner   string        // names this provisioner in its claims
	runNow  chan struct{} // has room for one: a pass of Run is due
	taken   chan struct{} // has room for one: a sign-up took a warm database, or found none

	warmConns     warmConns     // connections to warm databases
	adminSessions adminSessions // sessions on maintenance databases

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
	if err := cfg.removeConnStrings(); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &Provisioner{
		cfg:           cfg,
		catalog:       catalog.Of(cfg.Registry),
		names:         names{prefix: cfg.Prefix},
		hash:          cfg.Schema.Hash(),
		owner:         fmt.Sprintf("%s/%d/%s", host, os.Getpid(), cuid2.Generate()),
		runNow:        make(chan struct{}, 1),
		taken:         make(chan struct{}, 1),
		warmConns:     warmConns{conns: map[tenancy.ID]warmConn{}},
		adminSessions: adminSessions{sessions: map[where]adminSession{}},
		ready:         map[string]bool{},
	}, nil
}

// removeConnStrings copies the administrators' configurations without their connection strings: a Schema gets
// configurations that come from them.
func (c *Config) removeConnStrings() (err error) {
	if c.Admin != nil {
		if c.Admin, err = connstring.Remove(c.Admin); err != nil {
			return fmt.Errorf("provision: Config.Admin: %w", pgerr.Redact(err))
		}
	}
	admins := make(map[string]*pgx.ConnConfig, len(c.Admins))
	for name, admin := range c.Admins {
		if admins[strings.Clone(name)], err = connstring.Remove(admin); err != nil {
			return fmt.Errorf("provision: Config.Admins[%q]: %w", name, pgerr.Redact(err))
		}
	}
	c.Admins = admins
	return nil
}

// signal starts the next pass of the loop that waits on wake.
func signal(wake chan<- struct{}) {
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

// waitNextPass waits for the next pass. Many processes that were started together drift apart.
func (p *Provisioner) waitNextPass(ctx context.Context, wake <-chan struct{}) {
	spread := rand.Int64N(int64(p.cfg.Interval)*2/5 + 1) //nolint:gosec // no secret
	timer := time.NewTimer(p.cfg.Interval*4/5 + time.Duration(spread))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}

// tenantRoles are the roles that belong to every tenant.
func (p *Provisioner) tenantRoles() []string {
	roles := []string{p.names.groupRole()}
	if p.cfg.SharedRole != "" {
		roles = append(roles, p.cfg.SharedRole)
	}
	return roles
}

// Stat returns a snapshot.
func (p *Provisioner) Stat() *Stat {
	p.figures.mu.Lock()
	defer p.figures.mu.Unlock()
	return &Stat{slices.SortedFunc(maps.Values(p.figures.steps), func(a, b StepStat) int {
		return cmp.Compare(a.name, b.name)
	})}
}

// ended counts a step and writes its line. err is redacted.
func (p *Provisioner) ended(ctx context.Context, claim *catalog.Claim, step string, took time.Duration, err error) {
	p.figures.count(step, took, err)
	p.logStep(ctx, claim, step, took, err)
}

// logStep writes the line of one step. err is redacted. A panic's stack is logged, its value is not.
func (p *Provisioner) logStep(ctx context.Context, claim *catalog.Claim, step string, took time.Duration, err error) {
	attrs := []slog.Attr{
		slog.String("tenant", string(claim.Tenant.ID)),
		slog.String("server", claim.Tenant.Server.Name),
		slog.Int64("attempt", claim.Attempt),
		slog.String("step", step),
		slog.Duration("took", took),
	}
	if err == nil {
		p.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "provision: step done", attrs...)
		return
	}
	attrs = append(attrs, slog.String("error", err.Error()))
	if pe := (*PanicError)(nil); errors.As(err, &pe) {
		attrs = append(attrs, slog.String("stack", string(pe.Stack)))
	}
	p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "provision: step failed", attrs...)
}

// logError writes what cannot be returned to anybody.
func (p *Provisioner) logError(ctx context.Context, message string, id tenancy.ID, err error) {
	p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "provision: "+message,
		slog.String("tenant", string(id)), slog.String("error", pgerr.Redact(err).Error()))
}

// Format implements [fmt.Formatter]: a provisioner shows its prefix.
func (p *Provisioner) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "provisioner of %q", p.names.prefix)
}
