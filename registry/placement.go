package registry

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

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

// place chooses the server of a new tenant, which is then to be counted there. The servers it chooses among stay locked until the
// transaction ends, so that sign-ups at the same moment do not overfill one.
func place(ctx context.Context, tx pgx.Tx, res *Reservation) (string, error) {
	rows, _ := tx.Query(ctx, `SELECT `+serverColumns+` FROM pgtenancy.servers s
		WHERE s.state = 'open' AND (s.name = $1 OR $1 = '') ORDER BY s.name FOR UPDATE`, res.Server)
	servers, err := pgx.CollectRows(rows, scanServer)
	if err != nil {
		return "", err
	}
	name, err := choose(servers, res)
	if err != nil {
		return "", refuse(err)
	}
	return name, nil
}

func choose(servers []Server, res *Reservation) (string, error) {
	var roomy []Server
	for _, s := range servers {
		if s.Capacity == 0 || s.Tenants < s.Capacity {
			roomy = append(roomy, s)
		}
	}
	if len(roomy) == 0 {
		return "", ErrNoServer
	}
	choice := res.Place
	if choice == nil {
		choice = emptiest
	}
	name, err := choice(roomy)
	if err != nil {
		return "", err
	}
	for _, s := range roomy {
		if s.Name == name {
			return name, nil
		}
	}
	return "", fmt.Errorf("registry: placement chose server %q, which was not offered", name)
}
