package catalog

import (
	"fmt"

	"github.com/pgtenancy/pgtenancy/registry"
)

// emptiest is the default Placement: the fewest tenants for its weight, the first by name among equals.
func emptiest(servers []registry.Server) (string, error) {
	best := servers[0]
	for _, s := range servers[1:] {
		if s.Tenants*best.Weight < best.Tenants*s.Weight {
			best = s
		}
	}
	return best.Name, nil
}

// choose returns the server of a new tenant, which is then to be counted there.
func choose(servers []registry.Server, res *Reservation) (registry.Server, error) {
	var roomy []registry.Server
	refused := registry.ErrNoServer
	for _, s := range servers {
		switch err := s.Verify(); {
		case err != nil:
			refused = err
		case s.Capacity == 0 || s.Tenants < s.Capacity:
			roomy = append(roomy, s)
		}
	}
	if len(roomy) == 0 {
		return registry.Server{}, refused
	}
	choice := res.Place
	if choice == nil {
		choice = emptiest
	}
	name, err := choice(roomy)
	if err != nil {
		return registry.Server{}, err
	}
	for _, s := range roomy {
		if s.Name == name {
			return s, nil
		}
	}
	return registry.Server{}, fmt.Errorf("registry: placement chose server %q, which was not offered", name)
}
