package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Counter counts what ended processes left on a server; *provision.Provisioner implements it.
type Counter interface {
	// TenantSessions names the sessions that a server has in tenants' databases, from any process. A session has the
	// same name each time. ctx governs the query.
	TenantSessions(ctx context.Context, server string) ([]string, error)
}

// countTimeout bounds the query to one server, so that a server that does not answer does not delay a beat for long.
const countTimeout = time.Second

// remains are the connections left of a process when it was first seen to have ended. The process can open nothing any
// more, so that its live sessions are among the sessions of that moment.
type remains struct {
	sessions map[string]map[string]bool // by server
	alone    bool                       // no other process lived then: all sessions are of ended processes
}

// reclaim sets free what a process had that has ended: all but those of its sessions that are still there. A backend
// with a long statement does not notice that its client is gone. A server that cannot be asked keeps its row until it
// is taken for dead.
func (s *Share) reclaim(ctx context.Context, id string, alone bool) error {
	granted := make(map[string]int)
	if err := s.r.db.ForEach(ctx, "list what a dead process had",
		`SELECT server, granted FROM pgtenancy.router_conns WHERE router = $1`, func(row pgx.CollectableRow) error {
			var server string
			var n int
			err := row.Scan(&server, &n)
			granted[server] = n
			return err
		}, id); err != nil {
		return err
	}
	left := 0
	for server, n := range granted {
		if n > 0 {
			still, err := s.count(ctx, id, server, alone)
			if err != nil {
				return nil //nolint:nilerr // it was noted, and the missed beats decide
			}
			n = min(n, still)
		}
		left += n
		if n == granted[server] {
			continue
		}
		if _, err := s.r.db.Exec(ctx, fmt.Sprintf("free connections to %q", server), `UPDATE pgtenancy.router_conns
			SET granted = least(granted, $3::bigint) WHERE server = $1 AND router = $2`, server, id, n); err != nil {
			return err
		}
	}
	switch {
	case left == 0:
		_, err := s.r.db.Exec(ctx, "remove dead router", `DELETE FROM pgtenancy.routers WHERE id = $1`, id)
		return err
	case s.remains[id].alone: // they are counted, so no process may take it for dead
		_, err := s.r.db.Exec(ctx, "guard what is left", `UPDATE pgtenancy.routers SET beat = beat + 1 WHERE id = $1`, id)
		return err
	}
	return nil
}

// count returns how many of a dead process's sessions a server may still have.
func (s *Share) count(ctx context.Context, id, server string, alone bool) (int, error) {
	bounded, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	names, err := s.counter.TenantSessions(bounded, server)
	s.uncounted.note(ctx, err)
	if err != nil {
		return 0, err
	}
	r, known := s.remains[id]
	if !known {
		r = remains{sessions: make(map[string]map[string]bool), alone: alone}
		s.remains[id] = r
	}
	first, known := r.sessions[server]
	if !known {
		first = make(map[string]bool, len(names))
		for _, name := range names {
			first[name] = true
		}
		r.sessions[server] = first
	}
	still := 0
	for _, name := range names {
		if first[name] {
			still++
		}
	}
	return still, nil
}
