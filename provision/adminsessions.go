package provision

import (
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/registry"
)

// adminSessionIdle is how long an unused session stays open.
const adminSessionIdle = 10 * time.Second

// adminSessions are unused sessions on the maintenance databases, without a lock: at most one for each server, and none
// unless Run is running, which closes them. A caller that takes one owns it.
type adminSessions struct {
	mu       sync.Mutex // guards what follows; no I/O while it is held
	sessions map[where]adminSession
	runs     int // of Run
}

// where a server is. A server that moves gets another session.
type where struct {
	host string
	port uint16
}

type adminSession struct {
	*pgx.Conn
	since time.Time
}

func whereIs(s registry.Server) where { return where{s.Host, s.Port} }

// take returns the session on server; nil if there is none.
func (k *adminSessions) take(server registry.Server) *pgx.Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.sessions[whereIs(server)]
	delete(k.sessions, whereIs(server))
	return s.Conn
}

// wants reports whether put would keep a session on server.
func (k *adminSessions) wants(server registry.Server) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wanted(server)
}

func (k *adminSessions) wanted(server registry.Server) bool {
	_, there := k.sessions[whereIs(server)]
	return k.runs > 0 && !there
}

// put keeps conn, or closes it. It must hold no lock.
func (k *adminSessions) put(server registry.Server, conn *pgx.Conn) {
	k.mu.Lock()
	wanted := k.wanted(server)
	if wanted {
		k.sessions[whereIs(server)] = adminSession{conn, time.Now()}
	}
	k.mu.Unlock()
	if !wanted {
		pgadmin.Disconnect(conn)
	}
}

// tidy closes the sessions that were unused for adminSessionIdle.
func (k *adminSessions) tidy() {
	k.close(func(s adminSession) bool { return time.Since(s.since) > adminSessionIdle })
}

// run counts a running Run, until the returned function is called; the last one closes all sessions.
func (k *adminSessions) run() (end func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.runs++
	return func() {
		k.mu.Lock()
		k.runs--
		last := k.runs == 0
		k.mu.Unlock()
		k.close(func(adminSession) bool { return last })
	}
}

func (k *adminSessions) close(which func(adminSession) bool) {
	var conns []*pgx.Conn
	k.mu.Lock()
	for at, s := range k.sessions {
		if which(s) {
			conns = append(conns, s.Conn)
			delete(k.sessions, at)
		}
	}
	k.mu.Unlock()
	for _, conn := range conns {
		pgadmin.Disconnect(conn)
	}
}
