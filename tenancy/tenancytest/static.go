package tenancytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// static is the control of a fleet without a registry: a map.
type static struct {
	fleet    *Fleet
	template string
	owned    bool
	hash     string

	mu      sync.Mutex // guards what follows
	epoch   int64      // of the last change of any tenant: an id that is used again gets a greater one
	number  int
	tenants map[tenancy.ID]tenancy.Tenant
	aliases map[string]tenancy.ID
}

func newStatic(f *Fleet, template string, cfg Config) *static {
	s := &static{
		fleet: f, template: template, owned: cfg.TenantOwns,
		tenants: make(map[tenancy.ID]tenancy.Tenant), aliases: make(map[string]tenancy.ID),
	}
	if cfg.Schema != nil {
		s.hash = cfg.Schema.Hash()
	}
	return s
}

// Lookup implements [tenancy.Directory].
func (s *static) Lookup(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tenants[id]
	if !ok || t.State == tenancy.Provisioning {
		return tenancy.Tenant{}, tenancy.ErrNotFound
	}
	return t, nil
}

// LookupAlias implements [tenancy.AliasDirectory].
func (s *static) LookupAlias(_ context.Context, alias string) (tenancy.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.aliases[alias]
	if !ok {
		return "", tenancy.ErrNotFound
	}
	return id, nil
}

func (s *static) addAlias(_ context.Context, id tenancy.ID, alias string) error {
	s.mu.Lock()
	owner, taken := s.aliases[alias]
	if !taken {
		s.aliases[strings.Clone(alias)] = id
	}
	s.mu.Unlock()
	if taken {
		return fmt.Errorf("tenant %q has it", string(owner))
	}
	s.fleet.Resolver.ForgetAlias(alias)
	return nil
}

func (s *static) create(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	t, err := s.reserve(id)
	if err != nil {
		return t, err
	}
	if t.Endpoint.Database, err = s.fleet.server.copy(ctx, s.template, s.owned); err == nil {
		err = s.fleet.server.mark(ctx, t, false)
	}
	if err != nil {
		return t, errors.Join(err, s.remove(ctx, t))
	}
	t.State = tenancy.Active
	s.mu.Lock()
	s.tenants[t.ID] = t
	s.mu.Unlock()
	return t, nil
}

// reserve takes an id, or makes one up.
func (s *static) reserve(id tenancy.ID) (tenancy.Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id == "" {
		s.number++
		made := tenancy.ID(fmt.Sprintf("t%d", s.number))
		if _, taken := s.tenants[made]; !taken {
			id = made
		}
	}
	id = tenancy.ID(strings.Clone(string(id)))
	if _, taken := s.tenants[id]; taken {
		return tenancy.Tenant{}, errors.New("the fleet has a tenant of this id")
	}
	s.epoch++
	t := tenancy.Tenant{ID: id, State: tenancy.Provisioning, Epoch: s.epoch, SchemaHash: s.hash}
	s.tenants[id] = t
	return t, nil
}

func (s *static) remove(ctx context.Context, t tenancy.Tenant) error {
	s.mu.Lock()
	delete(s.tenants, t.ID)
	var aliases []string
	for alias, id := range s.aliases {
		if id == t.ID {
			aliases = append(aliases, alias)
			delete(s.aliases, alias)
		}
	}
	s.epoch++
	epoch := s.epoch
	s.mu.Unlock()
	for _, alias := range aliases {
		s.fleet.Resolver.ForgetAlias(alias)
	}
	s.fleet.Resolver.Invalidate(t.ID, epoch)
	if t.Endpoint.Database == "" {
		return nil
	}
	return s.fleet.server.drop(ctx, t.Endpoint.Database)
}

func (s *static) suspend(ctx context.Context, id tenancy.ID) error {
	return s.change(ctx, id, tenancy.Suspended)
}

func (s *static) resume(ctx context.Context, id tenancy.ID) error {
	return s.change(ctx, id, tenancy.Active)
}

// change brings a tenant into a state: in the map, in the database's owner tag, and in the resolver.
func (s *static) change(ctx context.Context, id tenancy.ID, state tenancy.State) error {
	s.mu.Lock()
	t, ok := s.tenants[id]
	if ok {
		s.epoch++
		t.State, t.Epoch = state, s.epoch
		s.tenants[id] = t
	}
	s.mu.Unlock()
	if !ok {
		return tenancy.ErrNotFound
	}
	s.fleet.Resolver.Invalidate(id, t.Epoch)
	return s.fleet.server.mark(ctx, t, state == tenancy.Suspended)
}
