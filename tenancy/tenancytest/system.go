package tenancytest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ServerName is the registry's name for the server of a [System].
const ServerName = "tenancytest"

// System is a fleet with a registry and a provisioner, for tests of sign-ups, suspensions and upgrades. Its tenants
// have roles of their own, as in production, and go with the system. It is safe for concurrent use.
type System struct {
	*Fleet

	// Registry is migrated, and knows the server as ServerName.
	Registry *registry.Registry

	// Provisioner runs until the end of the test. Its template is made.
	Provisioner *provision.Provisioner

	// Pool leads to the registry's database.
	Pool *pgxpool.Pool
}

// NewSystem returns a system without tenants, whose provisioner and feed run. The end of the test stops it and drops
// all that it made, sign-ups included. The test ends at once if there is no server, or if the schema cannot be made.
func NewSystem(tb testing.TB, cfg SystemConfig) *System {
	tb.Helper()
	s := theServer(tb)
	ctx, cancel := bounded(tb)
	defer cancel()
	sys := &System{Fleet: newFleet(s)}
	prefix := s.newName() + "_"
	tb.Cleanup(func() {
		tb.Helper()
		ctx, cancel := bounded(tb)
		defer cancel()
		if err := s.sweep(ctx, prefix); err != nil {
			tb.Errorf("tenancytest: drop tenants: %v", pgerr.Redact(err))
		}
	})
	if err := sys.openRegistry(ctx, tb, cfg); err != nil {
		tb.Fatalf("tenancytest: make registry: %v", err)
	}
	if err := sys.openProvisioner(ctx, prefix, cfg); err != nil {
		tb.Fatalf("tenancytest: make provisioner: %v", err)
	}
	sys.control = &managed{sys}
	base, err := s.poolConfig("")
	if err != nil {
		tb.Fatal(err)
	}
	sys.open(tb, base, cfg.Config)
	sys.run(tb)
	return sys
}

func (sys *System) openRegistry(ctx context.Context, tb testing.TB, cfg SystemConfig) error {
	s := sys.server
	key, err := s.registryKey()
	if err != nil {
		return err
	}
	template, err := s.template(ctx, recipe{key: key, build: func(ctx context.Context, cfg *pgx.ConnConfig) error {
		config, err := s.poolConfig(cfg.Database)
		if err != nil {
			return err
		}
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return err
		}
		defer pool.Close()
		return registry.Migrate(ctx, pool)
	}})
	if err != nil {
		return err
	}
	name, err := s.copy(ctx, template, false)
	if err != nil {
		return pgerr.Redact(err)
	}
	config, err := s.poolConfig(name)
	if err != nil {
		return err
	}
	if sys.Pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return pgerr.Redact(err)
	}
	tb.Cleanup(func() {
		tb.Helper()
		sys.Pool.Close()
		ctx, cancel := bounded(tb)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			tb.Errorf("tenancytest: drop registry: %v", pgerr.Redact(err))
		}
	})
	// A copy has no privileges of its own: close it to others again, as Migrate does.
	if err := s.exec(ctx, "REVOKE CONNECT, TEMPORARY ON DATABASE "+quote(name)+" FROM PUBLIC"); err != nil {
		return pgerr.Redact(err)
	}
	keys, err := newKeys()
	if err != nil {
		return err
	}
	registryConfig := registry.Config{Pool: sys.Pool, Keyring: keys}
	if cfg.Registry != nil {
		cfg.Registry(&registryConfig)
	}
	if sys.Registry, err = registry.New(registryConfig); err != nil {
		return err
	}
	admin := s.connConfig("")
	return sys.Registry.PutServer(ctx, registry.Server{
		Name: ServerName, Host: admin.Host, Port: admin.Port, Weight: 1, State: registry.ServerOpen,
	})
}

// registryKey names the schema of the registry. On a server that is kept it depends on the program, because nothing
// else tells which migrations it has.
func (s *server) registryKey() (string, error) {
	if !s.given {
		return "registry", nil
	}
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	program, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer program.Close()
	digest := sha256.New()
	_, err = io.Copy(digest, program)
	return "registry of " + hex.EncodeToString(digest.Sum(nil)), err
}

func newKeys() (*keyring.Keyring, error) {
	index, seal := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(index) // never fails
	_, _ = rand.Read(seal)
	return keyring.New(keyring.Config{
		Index: []keyring.Key{{ID: 1, Secret: index}}, Seal: []keyring.Key{{ID: 1, Secret: seal}},
	})
}

func (sys *System) openProvisioner(ctx context.Context, prefix string, cfg SystemConfig) error {
	admin := sys.server.connConfig("")
	admin.DialFunc = sys.link.dial
	if cfg.Schema == nil {
		return errors.New("SystemConfig.Schema: required")
	}
	config := provision.Config{Registry: sys.Registry, Admin: admin, Schema: provisioned(cfg.Schema), Prefix: prefix}
	if cfg.Provision != nil {
		cfg.Provision(&config)
	}
	var err error
	if sys.Provisioner, err = provision.New(config); err != nil {
		return err
	}
	return sys.Provisioner.PrepareTemplate(ctx, ServerName)
}

// run runs the provisioner and the feed until the end of the test.
func (sys *System) run(tb testing.TB) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = sys.Provisioner.Run(ctx) }) // both return when ctx ends
	running.Go(func() { _ = sys.Registry.Follow(ctx, sys.Resolver) })
	tb.Cleanup(func() {
		sys.HealServer()
		cancel()
		running.Wait()
	})
}

// managed is the control of a system.
type managed struct{ *System }

// Lookup implements [tenancy.Directory].
func (m *managed) Lookup(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	return m.Registry.Lookup(ctx, id)
}

// LookupAlias implements [tenancy.AliasDirectory].
func (m *managed) LookupAlias(ctx context.Context, alias string) (tenancy.ID, error) {
	return m.Registry.LookupAlias(ctx, alias)
}

func (m *managed) addAlias(ctx context.Context, id tenancy.ID, alias string) error {
	err := m.Registry.AddAlias(ctx, id, alias)
	m.Resolver.ForgetAlias(alias) // at once, and not when the feed comes to it
	return err
}

func (m *managed) create(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	result, err := m.Provisioner.Create(ctx, provision.Request{ID: id})
	if err != nil {
		return tenancy.Tenant{}, err
	}
	return result.Tenant, nil
}

// remove leaves the tenant to the end of the system: the server may have a fault, and the id cannot be used again.
func (m *managed) remove(context.Context, tenancy.Tenant) error { return nil }

func (m *managed) suspend(ctx context.Context, id tenancy.ID) error {
	if err := m.Provisioner.Suspend(ctx, id); err != nil {
		return err
	}
	return m.announce(ctx, id)
}

func (m *managed) resume(ctx context.Context, id tenancy.ID) error {
	t, err := m.Lookup(ctx, id)
	if err != nil {
		return err
	}
	if t.State == tenancy.Active { // only fenced
		err = m.server.mark(ctx, t, false)
	} else {
		err = m.Provisioner.Resume(ctx, id)
	}
	if err != nil {
		return err
	}
	return m.announce(ctx, id)
}

// announce does at once what the feed does in a moment.
func (m *managed) announce(ctx context.Context, id tenancy.ID) error {
	t, err := m.Lookup(ctx, id)
	if err != nil {
		return err
	}
	m.Resolver.Invalidate(id, t.Epoch)
	return nil
}

// provisioned returns schema as the provisioner needs it.
func provisioned(schema Schema) provision.Schema {
	if s, ok := schema.(provision.Schema); ok {
		return s
	}
	return buildOnly{schema}
}

// buildOnly is a schema that makes databases and upgrades none.
type buildOnly struct{ Schema }

// Hash returns the hash in the form that the registry keeps.
func (b buildOnly) Hash() string {
	digest := sha256.Sum256([]byte(b.Schema.Hash()))
	return hex.EncodeToString(digest[:16])
}

// Upgrade fails.
func (buildOnly) Upgrade(context.Context, provision.UpgradeInput) (*provision.Report, error) {
	return nil, errors.New("tenancytest: the schema cannot upgrade: give a provision.Schema")
}
