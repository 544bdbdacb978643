package registry

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// starvedBeats is for how many beats in a row a process may have no connection before that is logged: a newcomer waits
// for one or two.
const starvedBeats = 3

// starved knows the servers to which this process may open no connection.
type starved struct {
	logger *slog.Logger

	mu      sync.Mutex // guards what follows
	servers map[string]*starving
}

// starving is how long it has been so.
type starving struct {
	none, some int // beats in a row
	logged     bool
}

// note records, at every beat, how many connections to a server this process may open. That it has some again is logged
// only when that lasts, or processes that take turns would log all the time.
func (s *starved) note(ctx context.Context, server string, limit int) {
	s.mu.Lock()
	now, known := s.servers[server]
	if !known {
		if limit > 0 {
			s.mu.Unlock()
			return
		}
		now = &starving{}
		s.servers[server] = now
	}
	if limit == 0 {
		now.none, now.some = now.none+1, 0
	} else {
		now.none, now.some = 0, now.some+1
	}
	message := ""
	switch {
	case now.none == starvedBeats && !now.logged:
		now.logged = true
		message = "registry: budget share is no connection at all: there are fewer than processes, or others hold them"
	case now.some >= missedBeats || now.some > 0 && !now.logged:
		if now.logged {
			message = "registry: budget share is no longer nothing"
		}
		delete(s.servers, server)
	}
	s.mu.Unlock()
	if message != "" {
		s.logger.LogAttrs(ctx, slog.LevelWarn, message, slog.String("server", server), slog.Int("conns", limit))
	}
}

func (s *starved) forget(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.servers, server)
}

// Check reports whether this process may open connections to every server that has a budget. If not, its error names
// those to which it may open none, and its status is 503. It does no I/O: it uses the result of the last beat. It is
// meant for a readiness probe.
func (s *Share) Check() error {
	s.starved.mu.Lock()
	defer s.starved.mu.Unlock()
	var servers []string
	for server, now := range s.starved.servers {
		if now.none > 0 {
			servers = append(servers, fmt.Sprintf("%q", server))
		}
	}
	if len(servers) == 0 {
		return nil
	}
	slices.Sort(servers)
	return unready("no connection is free for this process: " + strings.Join(servers, ", "))
}
