package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Budgeted can be told how many connections it may have open to a server; *tenancy.Resolver is one.
type Budgeted interface {
	// SetMaxConns changes the limit for one server, closes idle connections above it, and returns how many are open. A
	// negative n is no limit.
	SetMaxConns(server string, n int) (open int)
}

const (
	// patience is how many beats of its own a process watches another one that shows none, before it takes the other
	// for dead. Counting beats and not time keeps an outage of the registry, in which nobody's beat is written, from
	// making everybody look dead to whoever comes back first.
	patience = 10

	leaveTimeout = 5 * time.Second
)

// Share is one process's part in the connection budgets of the servers: each server's MaxConns is divided evenly among
// the processes that live. Make one with [Registry.JoinBudget] and let [Share.Run] keep it.
//
// A process takes more only when the others have written down that they let go, so that the sum never exceeds the
// budget, whoever joins, leaves or is killed. What a killed process had is divided again after 10 beats
// (Config.Heartbeat). A process that is only cut off from the registry for so long, or stopped, is taken for dead as
// well: until it hears of it, it keeps what it had.
type Share struct {
	r       *Registry
	b       Budgeted
	id      string
	granted map[string]int      // by server, as the registry last said
	seen    map[string]sighting // the other processes
	outage  outage
}

// sighting is the last beat of another process and for how many beats of ours it has been the last.
type sighting struct {
	beat  int64
	still int
}

// JoinBudget makes this process one of those that share the servers' budgets, and limits b to what is free now: that
// may be nothing until the others have made room, a beat or two later. Servers without MaxConns are left alone. ctx
// governs the call. The caller must Run the Share. After an error there is none, and b may open nothing on the servers
// that it was told of already.
func (r *Registry) JoinBudget(ctx context.Context, b Budgeted) (*Share, error) {
	s := &Share{
		r: r, b: b, id: strings.ToLower(rand.Text()),
		granted: make(map[string]int), seen: make(map[string]sighting),
		outage: outage{logger: r.logger, what: "budget share"},
	}
	if err := s.join(ctx); err != nil {
		return nil, err
	}
	if err := s.beat(ctx); err != nil {
		s.leave(ctx)
		return nil, err
	}
	return s, nil
}

// Format implements [fmt.Formatter]: under every verb a Share shows nothing; it leads to the Registry.
func (*Share) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "share") }

// Run keeps the share until ctx ends, and then returns nil: a beat every Config.Heartbeat. While the registry does not
// answer, which Config.Logger hears of, b keeps what it has. In the end b may open no connection any more; if none is
// open, what it had is free for the others at once. So end ctx after b has been closed.
func (s *Share) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.r.heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.leave(ctx)
			return nil
		case <-ticker.C:
			s.outage.note(ctx, s.beat(ctx)) // the next one tries again
		}
	}
}

func (s *Share) join(ctx context.Context) error {
	_, err := s.r.exec(ctx, "join budget", `INSERT INTO pgtenancy.routers (id, beat) VALUES ($1, 1)`, s.id)
	return err
}

// leave gives everything back that is not in use.
func (s *Share) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	open := 0
	for server := range s.granted {
		open += s.b.SetMaxConns(server, 0)
	}
	if open == 0 {
		_, _ = s.r.exec(ctx, "leave budget", `DELETE FROM pgtenancy.routers WHERE id = $1`, s.id) // or it is taken for dead
	}
}

// beat shows that this process lives, buries the dead, and moves towards this process's share.
func (s *Share) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(s.r.heartbeat, leaveTimeout))
	defer cancel()
	alive, err := s.r.exec(ctx, "beat", `UPDATE pgtenancy.routers SET beat = beat + 1 WHERE id = $1`, s.id)
	if err != nil {
		return err
	}
	if !alive {
		return s.rejoin(ctx)
	}
	living, err := s.census(ctx)
	if err != nil {
		return err
	}
	budgets, err := s.budgets(ctx)
	if err != nil {
		return err
	}
	for server, b := range budgets {
		if err := s.move(ctx, server, b, s.part(b.total, living)); err != nil {
			return err
		}
	}
	return s.abandon(ctx, budgets)
}

// rejoin begins anew: the others took this process for dead, and what it had is theirs.
func (s *Share) rejoin(ctx context.Context) error {
	for server := range s.granted {
		s.b.SetMaxConns(server, 0)
	}
	clear(s.granted)
	return s.join(ctx)
}

// census returns the ids of all processes that live, in order.
func (s *Share) census(ctx context.Context) ([]string, error) {
	beats := make(map[string]int64)
	if err := s.r.forEach(ctx, "count routers", `SELECT id, beat FROM pgtenancy.routers`,
		func(row pgx.CollectableRow) error {
			var id string
			var beat int64
			err := row.Scan(&id, &beat)
			beats[id] = beat
			return err
		}); err != nil {
		return nil, err
	}
	var living []string
	seen := make(map[string]sighting, len(beats))
	for id, beat := range beats {
		now := sighting{beat: beat}
		if last, known := s.seen[id]; known && last.beat == beat && id != s.id {
			now.still = last.still + 1
		}
		seen[id] = now
		if now.still < patience {
			living = append(living, id)
			continue
		}
		if _, err := s.r.exec(ctx, "bury router", `DELETE FROM pgtenancy.routers WHERE id = $1 AND beat = $2`, id, beat); err != nil {
			return nil, err
		}
	}
	s.seen = seen
	slices.Sort(living)
	return living, nil
}

// budget is what the registry says of the connections to a server.
type budget struct {
	total   int // of all processes together
	granted int // of this one
}

// budgets returns the declared ones, by server.
func (s *Share) budgets(ctx context.Context) (map[string]budget, error) {
	budgets := make(map[string]budget)
	err := s.r.forEach(ctx, "list budgets", `SELECT s.name, s.max_conns, coalesce(c.granted, 0) FROM pgtenancy.servers s
		LEFT JOIN pgtenancy.router_conns c ON c.server = s.name AND c.router = $1 WHERE s.max_conns > 0`,
		func(row pgx.CollectableRow) error {
			var server string
			var b budget
			err := row.Scan(&server, &b.total, &b.granted)
			budgets[server] = b
			return err
		}, s.id)
	return budgets, err
}

// part is this process's even part of total; what is left over goes to the first ones.
func (s *Share) part(total int, living []string) int {
	n := len(living)
	part := total / max(n, 1)
	if i := slices.Index(living, s.id); i >= 0 && i < total%n {
		part++
	}
	return part
}
