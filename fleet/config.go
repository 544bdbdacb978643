package fleet

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Config configures a [Fleet]. Registry, KeysFile, Servers and Schema are required, or what takes their place; any
// other field left zero has the default that its comment names.
type Config struct {
	// Registry is a connection string, as pgxpool.ParseConfig takes it, of the registry's database. The database must
	// be there; Open makes its tables. It must not lead through a pooler in transaction mode. Create and the reconciler
	// use its pool: set pool_max_conns to 16 for a busy service.
	Registry string

	// RegistryConfig takes the place of Registry. Make it with pgxpool.ParseConfig. Open copies it.
	RegistryConfig *pgxpool.Config

	// SkipMigrate leaves the registry's tables to another program, which calls registry.Migrate before this one starts.
	// Default: Open migrates.
	SkipMigrate bool

	// KeysFile is a file of keys, as keyring.ReadFile reads it; keyring.CreateFile makes one.
	KeysFile string

	// Keyring takes the place of KeysFile.
	Keyring *keyring.Keyring

	// Servers are the PostgreSQL servers for tenants' databases. All that are in the registry must be here: the
	// administrators' passwords are not in the registry.
	Servers []Server

	// Schema is the schema of tenant databases.
	Schema provision.Schema

	// Prefix begins the names of databases and roles: see provision.Config.Prefix. Default: "tenant_".
	Prefix string

	// Revoker receives the sessions that are closed before they expire: an *authn.Cache. Default: none.
	Revoker registry.Revoker

	// Logger gets what registry and provision log, a warning for a server that cannot be prepared or has another
	// address in the registry, and the cause of each failed probe. Default: discards.
	Logger *slog.Logger

	// UnreadyFor is how long Serve goes on after ctx has ended, while Check fails: until load balancers have seen it.
	// Default: 0.
	UnreadyFor time.Duration

	// StopTimeout is how long Serve waits for requests to finish, and after that for leases. Default: 20 s.
	StopTimeout time.Duration

	// EditRegistry, EditProvision and EditTenancy change the configuration of a part before it is used: they get it
	// with everything that Open has set, and Open calls each of them once. provision.Config has its Registry, and
	// tenancy.Config has Fence on, and a Base for each server that begins like the administrator's configuration,
	// without its password. Default: nothing is changed.
	EditRegistry  func(*registry.Config)
	EditProvision func(*provision.Config)
	EditTenancy   func(*tenancy.Config)
}

// Server is a PostgreSQL server that holds tenants' databases. Its administrator is of this server alone, and so are
// the TLS settings of its connection string. Region to PooledPort are what the registry gets when it does not know the
// server; after that they are an operator's, who changes them with registry.Registry.PutServer.
type Server struct {
	// Name is the registry's name of the server. Default: "main".
	Name string

	// Admin is a connection string, as pgxpool.ParseConfig takes it, of the role that makes databases and roles, and
	// the maintenance database: see provision.Config.Admin. It names one host, which must not be a pooler. Tenants'
	// pools begin with its settings, TLS and time-outs among them, and have users and passwords of their own.
	Admin string

	// AdminConfig takes the place of Admin. Make it with pgxpool.ParseConfig. Open copies it. Its hooks are those of
	// tenants' pools.
	AdminConfig *pgxpool.Config

	Region     string
	Weight     int // relative share of new tenants; default 1
	Capacity   int // tenants it may hold; 0: no limit
	MaxConns   int // connections that all processes together may open to it; 0: no limit but tenancy.Config.MaxConns
	PooledHost string
	PooledPort uint16
}

// defaultServer is the name of a server that has none.
const defaultServer = "main"

// parsed is what a Config says, ready for use. A field is nil where Config is wrong.
type parsed struct {
	registry *pgxpool.Config
	keys     *keyring.Keyring
	servers  []parsedServer
}

type parsedServer struct {
	record registry.Server
	admin  *pgxpool.Config
}

// parse reads the connection strings and the file of keys. Its error names everything that is wrong; of a connection
// string it holds nothing.
func (c Config) parse() (parsed, error) {
	var p parsed
	var errs []error
	refuse := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("fleet: Config.%s: %w", field, err))
		}
	}
	var err error
	p.registry, err = poolConfig(c.Registry, c.RegistryConfig)
	refuse("Registry", err)
	p.keys, err = c.keyring()
	refuse("KeysFile", err)
	if len(c.Servers) == 0 {
		refuse("Servers", errors.New("required"))
	}
	names := make(map[string]bool, len(c.Servers))
	for i, s := range c.Servers {
		server, err := s.parse()
		refuse(fmt.Sprintf("Servers[%d].Admin", i), err)
		if name := server.record.Name; names[name] {
			refuse(fmt.Sprintf("Servers[%d].Name", i), fmt.Errorf("%q is taken", name))
		}
		names[server.record.Name] = true
		p.servers = append(p.servers, server)
	}
	return p, errors.Join(errs...)
}

func (c Config) keyring() (*keyring.Keyring, error) {
	switch {
	case c.Keyring != nil && c.KeysFile != "":
		return nil, errors.New("must not be set beside Keyring")
	case c.Keyring != nil:
		return c.Keyring, nil
	case c.KeysFile == "":
		return nil, errors.New("required, or Keyring")
	}
	data, err := keyring.ReadFile(c.KeysFile)
	if err != nil {
		return nil, err
	}
	return keyring.Parse(data)
}

func (s Server) parse() (parsedServer, error) {
	p := parsedServer{record: registry.Server{
		Name: s.Name, PooledHost: s.PooledHost, PooledPort: s.PooledPort, Region: s.Region, Weight: s.Weight,
		Capacity: s.Capacity, MaxConns: s.MaxConns,
	}}
	if p.record.Name == "" {
		p.record.Name = defaultServer
	}
	admin, err := poolConfig(s.Admin, s.AdminConfig)
	if err != nil {
		return p, err
	}
	p.record.Host, p.record.Port = admin.ConnConfig.Host, admin.ConnConfig.Port
	for _, other := range admin.ConnConfig.Fallbacks { // the same host without TLS is one, too
		if other.Host != p.record.Host || other.Port != p.record.Port {
			return p, errors.New("must name one host")
		}
	}
	p.admin = admin
	return p, nil
}

// poolConfig returns what dsn says, or a copy of given.
func poolConfig(dsn string, given *pgxpool.Config) (*pgxpool.Config, error) {
	switch {
	case dsn != "" && given != nil:
		return nil, errors.New("must not be set beside the configuration that takes its place")
	case given != nil && given.ConnConfig == nil:
		return nil, errors.New("its configuration must be made by pgxpool.ParseConfig")
	case given != nil:
		return given.Copy(), nil
	case dsn == "":
		return nil, errors.New("required")
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("not a connection string, or a file that it names cannot be read") // err quotes it
	}
	return cfg, nil
}

// base is what the pools of the server's tenants begin with.
func (p parsedServer) base() *pgxpool.Config {
	base := p.admin.Copy()
	base.ConnConfig.Password = ""
	return base
}

// firstBase is the base of a server that was parsed; nil if there is none.
func (p parsed) firstBase() *pgxpool.Config {
	for _, s := range p.servers {
		if s.admin != nil {
			return s.base()
		}
	}
	return nil
}

// What follows prints names alone, under every verb and in a log: connection strings hold passwords.

// Format implements [fmt.Formatter]: a configuration shows its prefix.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.text()) }

// LogValue implements [slog.LogValuer].
func (c Config) LogValue() slog.Value { return slog.StringValue(c.text()) }

func (c Config) text() string { return fmt.Sprintf("configuration of a fleet of %q", c.Prefix) }

// Format implements [fmt.Formatter]: a server shows its name.
func (s Server) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.text()) }

// LogValue implements [slog.LogValuer].
func (s Server) LogValue() slog.Value { return slog.StringValue(s.text()) }

func (s Server) text() string { return fmt.Sprintf("server %q", s.Name) }
