package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

// Budgeted can be told how many connections it may have open to a server; *tenancy.Resolver is one.
type Budgeted interface {
	// SetMaxConns changes the limit for one server, closes idle connections above it, and returns how many are open. A
	// negative n is no limit.
	SetMaxConns(server string, n int) (open int)
}

const (
	// missedBeats is after how many of its own beats without one of another process's a process takes the other for dead.
	// It counts beats and not time: in an outage of the registry no beat is written, and the first process that is back
	// must not take all others for dead.
	missedBeats = 10

	// turnBeats is for how many beats a process has a connection, or none, if there are fewer than processes. It takes a
	// beat or two to hand one over.
	turnBeats = 4

	leaveTimeout = 5 * time.Second
)

// Share is one process's part in the connection budgets of the servers: each server's MaxConns is divided evenly among
// the processes that live. Make one with [Registry.JoinBudget] and let [Share.Run] keep it.
//
// A process takes more only when the others have written down that they let go, so that the sum never exceeds the
// budget, whichever process joins, leaves or is killed. What a killed process had is divided again after 10 beats
// (Config.Heartbeat); at once, if another one on its machine sees that it has ended and can count what it left
// ([Counter]). A process that is only cut off from the registry for so long, or stopped, is taken for dead after 10
// beats as well: until it hears of it, it keeps what it had.
//
// With fewer connections than processes some have none. Then it goes round: every 4 beats others do.
type Share struct {
	r         *Registry
	b         Budgeted
	counter   Counter // nil: what a dead process left cannot be counted
	id        string
	process   process
	granted   map[string]int      // by server, as the registry last said
	seen      map[string]sighting // the other processes
	remains   map[string]remains  // of processes that have ended
	turn      int                 // grows every turnBeats
	outage    outage
	uncounted outage
	starved   starved
}

// sighting is the last beat of another process and for how many beats of ours it has been the last.
type sighting struct {
	beat  int64
	still int
}

// JoinBudget makes this process share the servers' budgets, and limits b to the free part: that
// may be nothing until the others have made room, a beat or two later. Servers without MaxConns are left alone. ctx
// governs the call. The caller must Run the Share. After an error there is none, and b may open nothing on the servers
// that it was told of already.
//
// If b is a [Counter] too, the process that takes the place of a killed one on its machine (on Linux, in its PID
// namespace) gets at once what no session at the server has any more. A struct that embeds a *tenancy.Resolver and a
// *provision.Provisioner is both. Its Counter must count the sessions of every tenant.
func (r *Registry) JoinBudget(ctx context.Context, b Budgeted) (*Share, error) {
	s := &Share{
		r: r, b: b, id: strings.ToLower(rand.Text()),
		granted: make(map[string]int), seen: make(map[string]sighting), remains: make(map[string]remains),
		process:   ownProcess(),
		starved:   starved{logger: r.logger, servers: make(map[string]*starving)},
		outage:    outage{logger: r.logger, what: "budget share"},
		uncounted: outage{logger: r.logger, what: "count of what a dead process left"},
	}
	s.counter, _ = b.(Counter)
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
	host, _ := os.Hostname() // for people
	_, err := s.r.db.Exec(ctx, "join budget", `INSERT INTO pgtenancy.routers (id, beat, host, process)
		VALUES ($1, 1, $2, $3)`, s.id, regdb.Text(host), s.process.String())
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
		// If this fails, the others take this process for dead.
		_, _ = s.r.db.Exec(ctx, "leave budget", `DELETE FROM pgtenancy.routers WHERE id = $1`, s.id)
	}
}

// beat shows that this process lives, buries the dead, and moves towards this process's share.
func (s *Share) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(s.r.heartbeat, leaveTimeout))
	defer cancel()
	alive, err := s.r.db.Exec(ctx, "beat", `UPDATE pgtenancy.routers SET beat = beat + 1 WHERE id = $1`, s.id)
	if err != nil {
		return err
	}
	if !alive {
		return s.rejoin(ctx)
	}
	living, err := s.livingProcesses(ctx)
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

// livingProcesses returns the ids of all processes that live, in order.
func (s *Share) livingProcesses(ctx context.Context) ([]string, error) {
	beats, ended := make(map[string]int64), make(map[string]bool)
	if err := s.r.db.ForEach(ctx, "count routers", `SELECT id, beat, process,
			floor(extract(epoch FROM now()) / $1::float8)::bigint FROM pgtenancy.routers`,
		func(row pgx.CollectableRow) error {
			var id, process string
			var beat int64
			err := row.Scan(&id, &beat, &process, &s.turn)
			beats[id], ended[id] = beat, s.counter != nil && s.process.ended(parseProcess(process))
			return err
		}, (turnBeats * s.r.heartbeat).Seconds()); err != nil {
		return nil, err
	}
	var living, gone []string
	seen := make(map[string]sighting, len(beats))
	for id, beat := range beats {
		now := sighting{beat: beat}
		if last, known := s.seen[id]; known && last.beat == beat && id != s.id {
			now.still = last.still + 1
		}
		seen[id] = now
		if now.still < missedBeats {
			if ended[id] {
				gone = append(gone, id)
			} else {
				living = append(living, id)
			}
			continue
		}
		if _, err := s.r.db.Exec(ctx, "remove dead router",
			`DELETE FROM pgtenancy.routers WHERE id = $1 AND beat = $2`, id, beat); err != nil {
			return nil, err
		}
	}
	s.seen = seen
	for id := range s.remains {
		if _, there := beats[id]; !there {
			delete(s.remains, id)
		}
	}
	for _, id := range gone {
		if err := s.reclaim(ctx, id, len(living) == 1); err != nil {
			return nil, err
		}
	}
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
	err := s.r.db.ForEach(ctx, "list budgets", `SELECT s.name, s.max_conns, coalesce(c.granted, 0) FROM pgtenancy.servers s
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

// part is this process's even part of total; the remainder goes to the first ones. With fewer connections than
// processes, the turn decides which have none.
func (s *Share) part(total int, living []string) int {
	n := max(len(living), 1)
	i := slices.Index(living, s.id)
	if i < 0 {
		return total / n
	}
	if total < n {
		i = (i + s.turn%n*total) % n
	}
	if i < total%n {
		return total/n + 1
	}
	return total / n
}

// move brings what this process may open to a server towards its part of total. Less is done first and written down
// second, more is written down first and done second: at each moment the registry's number is at least the number of
// open connections.
//
// It goes by what the registry has, not by what this process has heard: the answer to the last change may have been
// lost.
func (s *Share) move(ctx context.Context, server string, b budget, part int) error {
	_, known := s.granted[server]
	s.granted[server] = b.granted
	if part > b.granted || !known {
		if err := s.grow(ctx, server, b.total, part); err != nil {
			return err
		}
	}
	limit := min(part, s.granted[server])
	open := s.b.SetMaxConns(server, limit)
	s.starved.note(ctx, server, limit)
	return s.shrink(ctx, server, max(part, open))
}

// shrink writes down that this process has let go of connections above n.
func (s *Share) shrink(ctx context.Context, server string, n int) error {
	if n >= s.granted[server] {
		return nil
	}
	_, err := s.r.db.Exec(ctx, fmt.Sprintf("let go of connections to %q", server),
		`UPDATE pgtenancy.router_conns SET granted = $3 WHERE server = $1 AND router = $2`, server, s.id, n)
	if err == nil {
		s.granted[server] = n
	}
	return err
}

// grow takes free connections of total, up to part. The row of turns is locked first, so that two processes never take
// the same connections.
func (s *Share) grow(ctx context.Context, server string, total, part int) error {
	n := s.granted[server]
	err := s.r.db.InTx(ctx, fmt.Sprintf("take connections to %q", server), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE pgtenancy.router_turn SET turn = turn + 1 WHERE id = 1`); err != nil {
			return err
		}
		var others int
		if err := tx.QueryRow(ctx, `SELECT coalesce(sum(granted), 0) FROM pgtenancy.router_conns
			WHERE server = $1 AND router <> $2`, server, s.id).Scan(&others); err != nil {
			return err
		}
		n = max(min(part, total-others), s.granted[server])
		_, err := tx.Exec(ctx, `INSERT INTO pgtenancy.router_conns (server, router, granted) VALUES ($1, $2, $3)
			ON CONFLICT (server, router) DO UPDATE SET granted = $3`, server, s.id, n)
		return err
	})
	if err == nil {
		s.granted[server] = n
	}
	return err
}

// abandon lifts the limit for servers whose budget is no longer declared.
func (s *Share) abandon(ctx context.Context, budgets map[string]budget) error {
	for server := range s.granted {
		if _, declared := budgets[server]; declared {
			continue
		}
		if _, err := s.r.db.Exec(ctx, fmt.Sprintf("abandon budget of %q", server),
			`DELETE FROM pgtenancy.router_conns WHERE server = $1 AND router = $2`, server, s.id); err != nil {
			return err
		}
		delete(s.granted, server)
		s.starved.forget(server)
		s.b.SetMaxConns(server, -1)
	}
	return nil
}
