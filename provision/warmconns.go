package provision

import (
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// warmConns are the open connections to warm databases. A caller that takes one owns it, and may give it back to be
// closed: a sign-up should not wait for the end of a backend.
type warmConns struct {
	mu      sync.Mutex // guards what follows; no I/O while it is held
	conns   map[tenancy.ID]warmConn
	used    []*pgx.Conn // to be closed by the keeper
	keepers int         // that are running
}

type warmConn struct {
	*pgx.Conn
	server  string
	checked time.Time // when it was last known to live
}

// checkEvery is how often an unused connection is checked. A connection that is lost unnoticed costs a sign-up the time
// to make a new one.
const checkEvery = 10 * time.Second

// take returns the connection to the database of that id; nil if there is none.
func (h *warmConns) take(id tenancy.ID) *pgx.Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.conns[id]
	delete(h.conns, id)
	return c.Conn
}

func (h *warmConns) put(id tenancy.ID, conn *pgx.Conn, server string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[id] = warmConn{conn, server, time.Now()}
}

// due reports whether the connection is to be checked or closed; open are the ids of those that are not to be closed.
func (h *warmConns) due(id tenancy.ID, open []tenancy.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !slices.Contains(open, id) || time.Since(h.conns[id].checked) > checkEvery
}

// ids are those of the databases on a server to which there is a connection; without a server, on all.
func (h *warmConns) ids(server string) (ids []tenancy.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, c := range h.conns {
		if server == "" || c.server == server {
			ids = append(ids, id)
		}
	}
	return ids
}

// giveBack leaves conn for a keeper to close; it closes conn itself if none is running.
func (h *warmConns) giveBack(conn *pgx.Conn) {
	h.mu.Lock()
	if h.keepers > 0 {
		h.used = append(h.used, conn)
		conn = nil
	}
	h.mu.Unlock()
	if conn != nil {
		pgadmin.Disconnect(conn)
	}
}

// tidy closes what was given back.
func (h *warmConns) tidy() {
	h.mu.Lock()
	used := h.used
	h.used = nil
	h.mu.Unlock()
	for _, conn := range used {
		pgadmin.Disconnect(conn)
	}
}

// keep counts a running keeper, until the returned function is called; the last one closes all connections.
func (h *warmConns) keep() (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keepers++
	return func() {
		h.mu.Lock()
		h.keepers--
		if h.keepers == 0 {
			for _, c := range h.conns {
				h.used = append(h.used, c.Conn)
			}
			clear(h.conns)
		}
		h.mu.Unlock()
		h.tidy()
	}
}
