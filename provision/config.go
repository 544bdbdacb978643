package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Config configures a [Provisioner]. Registry, Admin and Schema are required; any other field left zero has the
// default that its comment names.
type Config struct {
	// Registry knows the tenants and their servers.
	Registry *registry.Registry

	// Admin is how to log in to the servers, made with pgx.ParseConfig: a role with CREATEDB and CREATEROLE, which need
	// not be a superuser; with SharedRole, CREATEDB can be enough (docs/operations.md). Its database is the maintenance
	// database, the same for all processes: the locks that keep them apart live in it. Host and port are those of the
	// tenant's server, which must not be a pooler; they are signed (registry.Registry.PutServer). Unless Admin names them
	// itself, or sets require_auth, the server must ask for SCRAM: the password is not sent to a server that asks for it
	// in the clear. Not required if Admins names every server.
	Admin *pgx.ConnConfig

	// Admins are Admin for the servers with these names in the registry, each with its own log-in, TLS and maintenance
	// database: those of a managed service have one each. Default: Admin for all.
	Admins map[string]*pgx.ConnConfig

	// AdminPassword returns the password of the administrator of the server of that name, before each connection: from a
	// vault, or a token that is good for a few minutes. ctx is bounded. Default: the configuration's own.
	AdminPassword func(ctx context.Context, server string) (tenancy.Secret, error)

	// Schema is the schema of tenant databases.
	Schema Schema

	// Prefix begins the names of databases and roles: lower-case letters, digits and "_", at most 21. Registries that
	// share a server must not share a prefix. Default: "tenant_".
	Prefix string

	// Seed fills a new tenant's database, as the Admin role, in one transaction. It must be idempotent. It may run again
	// after a crash, in another process, even if it had committed. A process that takes over a sign-up first terminates
	// Admin's sessions in that database, so that a half-finished seed cannot commit. One gap remains: a process that was
	// paused before it connected can still run and commit its seed, even after activation. What [SideEffect] says of
	// errors holds here too. Default: none.
	Seed func(ctx context.Context, tx pgx.Tx, s Seed) error

	// TenantConnLimit is the CONNECTION LIMIT of the role of a new tenant. It counts the connections of all routers and of
	// the pooler, and must leave room for their pools. Negative: no limit. Default: 64.
	TenantConnLimit int

	// SharedRole is a login role that the operator makes on every server. All new tenants use it in place of roles of
	// their own. PostgreSQL then does not keep tenants apart: one stolen log-in opens every database, and TenantConnLimit
	// does not apply. docs/security.md says what is left. Give all processes the same name, and the resolvers' Base its
	// password. A tenant keeps the role that it was made with. Default: a role for each tenant.
	SharedRole string

	// SideEffects are done in this order after the seed, and undone in reverse. Do not take one out while a tenant that
	// began it exists: its deletion would wait for its Undo.
	SideEffects []SideEffect

	// Place chooses the server of a new tenant. Default: the emptiest by weight.
	Place registry.Placement

	// ClaimTTL is how long after a process died another may take over its work. A process extends its claims every third
	// of it. With Interval, it decides how soon an interrupted sign-up ends: within 10 s with both defaults. A process
	// that stalls for longer loses its claims, which costs only time; it loses the locks of an access or of a template's
	// build after twice as long. Default: 6 s.
	ClaimTTL time.Duration

	// Attempts is how often a sign-up whose process died is tried before it is undone. Default: 3.
	Attempts int

	// Interval is the time between two passes of Run, give or take a fifth. Default: 2 s.
	Interval time.Duration

	// Warm is how many databases Run keeps ready for sign-ups on each open server. Each is made ahead, under an id of its
	// own; a sign-up without an id of its own takes one, and only the seed is left to do. A warm database takes as much
	// disk as an empty tenant. Give every process that calls Run the same number. Warm databases of a schema that no
	// process asks for are dropped after a minute. Default: none.
	Warm int

	// WarmInterval is the least time between two databases that this process makes ahead on one server. One is made at a
	// time, and none while sign-ups are running there that can do with those that are left. Default: 250 ms.
	WarmInterval time.Duration

	// WarmConns is how many connections Run keeps open on each server to the warm databases that are next: the first
	// connection to a database costs more than the rest of such a sign-up. Only sign-ups through this Provisioner profit.
	// What the server must leave free, beside the connections of the resolvers, is this number, one for each running
	// sign-up, and the connection that Run keeps to the maintenance database. Default: none.
	WarmConns int

	// Rehearse does on each of these connections what Seed will do, with made-up values, in a transaction that is rolled
	// back: a backend's first INSERT into a table takes several times as long as its second. It runs as soon as the warm
	// database is ready, before a sign-up takes it. Numbers that it takes from sequences are lost. Default: nothing.
	Rehearse func(ctx context.Context, tx pgx.Tx) error

	// Logger gets a line for each step, with the tenant's id. Default: discards.
	Logger *slog.Logger

	// Observer gets the progress of steps. Default: none.
	Observer Observer

	failpoints *failpoint.Set // nil but in tests
}

// Observer has functions that a Provisioner calls at the begin and the end of each step that [StepStat] names. An
// intent begins under the requested or generated id, and ends under the tenant's own, which is that of the warm
// database if it took one. The errors hold no secret. Nil functions are not called. The functions must not block.
type Observer struct {
	StepStarted func(id tenancy.ID, step string)
	StepEnded   func(id tenancy.ID, step string, took time.Duration, err error)
}

// Seed is what Config.Seed and the side effects get.
type Seed struct {
	Tenant       tenancy.Tenant
	Organization registry.Organization
	Admin        registry.Admin
	Data         []byte `json:"-"` // the caller's own, from Request.Data; gone once the tenant is active
}

// SideEffect is a side effect of the caller's: a billing customer, a DNS record.
//
// Do and Undo may run more than once, in different processes, for one tenant: both must be idempotent by
// SideEffectInput.Key. A process that was stopped for longer than its claim lives may even finish a Do after another
// process's Undo; a service that takes idempotency keys or lists what it has by key settles that.
//
// Undo gets no password, and neither an e-mail nor Data if their key is lost.
//
// The text of an error that they return is logged and stored in the registry, so it should hold no secret.
type SideEffect struct {
	Name string
	Do   func(ctx context.Context, s SideEffectInput) (result string, err error)

	// Undo may be nil: nothing to undo. s.Result is empty if it is not known how Do ended.
	Undo func(ctx context.Context, s SideEffectInput) error
}

// SideEffectInput is what a side effect is given.
type SideEffectInput struct {
	Seed
	Key    string // "<tenant id>/<name>": the same at every try
	Result string `json:"-"` // what Do returned, for Undo
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = "tenant_"
	}
	if c.ClaimTTL == 0 {
		c.ClaimTTL = 6 * time.Second
	}
	if c.Attempts == 0 {
		c.Attempts = 3
	}
	if c.Interval == 0 {
		c.Interval = 2 * time.Second
	}
	if c.WarmInterval == 0 {
		c.WarmInterval = 250 * time.Millisecond
	}
	if c.TenantConnLimit == 0 {
		c.TenantConnLimit = 64
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.SideEffects = slices.Clone(c.SideEffects)
	return c
}

var (
	prefixPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,20}$`) // the template's name takes 42 bytes more
	hashPattern   = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// validate reports everything that is wrong with c, which has its defaults.
func (c Config) validate() error {
	var errs []error
	check := func(ok bool, message string) {
		if !ok {
			errs = append(errs, errors.New("provision: Config."+message))
		}
	}
	check(c.Registry != nil, "Registry: required")
	check(c.Admin != nil || len(c.Admins) > 0, "Admin: required")
	for name, admin := range c.Admins {
		check(name != "" && admin != nil, fmt.Sprintf("Admins[%q]: needs a name and a configuration", name))
	}
	check(c.Schema != nil, "Schema: required")
	check(c.Schema == nil || hashPattern.MatchString(c.Schema.Hash()),
		"Schema: Hash must be 32 lower-case hexadecimal digits")
	check(prefixPattern.MatchString(c.Prefix) && !strings.HasPrefix(c.Prefix, "pg_"),
		`Prefix: must be a lower-case letter and up to 20 letters, digits or "_", and not begin with "pg_"`)
	check(c.validSharedRole(),
		`SharedRole: must be a role's name of at most 63 bytes, not Admin's, and not begin with Prefix or "pg_"`)
	check(c.ClaimTTL > 0, "ClaimTTL: must not be negative")
	check(c.Attempts > 0, "Attempts: must not be negative")
	check(c.Interval > 0, "Interval: must not be negative")

	check(c.Warm >= 0, "Warm: must not be negative")
	check(c.WarmInterval > 0, "WarmInterval: must not be negative")
	check(c.WarmConns >= 0, "WarmConns: must not be negative")

	names := map[string]bool{}
	for i, s := range c.SideEffects {
		check(s.Name != "" && s.Do != nil, fmt.Sprintf("SideEffects[%d]: needs a Name and a Do", i))
		check(!names[s.Name], fmt.Sprintf("SideEffects[%d]: name %q is taken", i, s.Name))
		names[s.Name] = true
	}
	return errors.Join(errs...)
}

// validSharedRole reports whether PostgreSQL takes name for a role, keeps it whole, and means a single role by it; and
// whether it is neither the administrator nor of a name that is ours to give.
func (c Config) validSharedRole() bool {
	name := c.SharedRole
	switch {
	case name == "":
		return true
	case name == "public", name == "none": // quoted or not
		return false
	case len(name) > maxName, !utf8.ValidString(name), strings.ContainsRune(name, 0):
		return false
	}
	return !strings.HasPrefix(name, "pg_") && !strings.HasPrefix(name, c.Prefix) && !c.isAdmin(name)
}

// isAdmin reports whether an administrator has that name.
func (c Config) isAdmin(name string) bool {
	for _, admin := range c.Admins {
		if admin != nil && admin.User == name {
			return true
		}
	}
	return c.Admin != nil && c.Admin.User == name
}

// What follows prints names alone, under every verb and in a log: fmt goes through a pointer to a connection's
// configuration for some verbs, and finds the password there.

// Format implements [fmt.Formatter]: a configuration shows its prefix.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.text()) }

// LogValue implements [slog.LogValuer].
func (c Config) LogValue() slog.Value { return slog.StringValue(c.text()) }

func (c Config) text() string { return fmt.Sprintf("configuration of a provisioner of %q", c.Prefix) }

// Format implements [fmt.Formatter]: a seed, and a side effect's input, shows its tenant's id.
func (s Seed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.text()) }

// LogValue implements [slog.LogValuer].
func (s Seed) LogValue() slog.Value { return slog.StringValue(s.text()) }

func (s Seed) text() string { return fmt.Sprintf("seed of tenant %q", string(s.Tenant.ID)) }
