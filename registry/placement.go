package registry

import "fmt"

// Placement chooses a server for a new tenant among the open ones with room. It runs while the servers' rows are
// locked, so it must not do I/O.
type Placement func(servers []Server) (name string, err error)

// emptiest is the default Placement: the fewest tenants for its weight, the first by name among equals.
func emptiest(servers []Server) (string, error) {
	best := servers[0]
	for _, s := range servers[1:] {
		if s.Tenants*best.Weight < best.Tenants*s.Weight {
			best = s
		}
	}
	return best.Name, nil
}

// choose returns the server of a new tenant, which is then to be counted there.
func choose(servers []Server, res *Reservation) (Server, error) {
	var roomy []Server
	refused := ErrNoServer
	for _, s := range servers {
		switch err := s.Verify(); {
		case err != nil:
			refused = err
		case s.Capacity == 0 || s.Tenants < s.Capacity:
			roomy = append(roomy, s)
		}
	}
	if len(roomy) == 0 {
		return Server{}, refused
	}
	choice := res.Place
	if choice == nil {
		choice = emptiest
	}
	name, err := choice(roomy)
	if err != nil {
		return Server{}, err
	}
	for _, s := range roomy {
		if s.Name == name {
			return s, nil
		}
	}
	return Server{}, fmt.Errorf("registry: placement chose server %q, which was not offered", name)
}
