package provision

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// held are the connections that the keeper holds open to warm databases. Whoever takes one out owns it.
type held struct {
	mu    sync.Mutex // guards conns; held for nothing but reading and writing it
	conns map[tenancy.ID]heldConn
}

type heldConn struct {
	*pgx.Conn
	server string
}

// take returns the connection to the database of that id; nil if there is none.
func (h *held) take(id tenancy.ID) *pgx.Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.conns[id]
	delete(h.conns, id)
	return c.Conn
}

func (h *held) put(id tenancy.ID, conn *pgx.Conn, server string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[id] = heldConn{conn, server}
}

// ids are those of the databases on a server that have a connection; with no server, those of all.
func (h *held) ids(server string) (ids []tenancy.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, c := range h.conns {
		if server == "" || c.server == server {
			ids = append(ids, id)
		}
	}
	return ids
}

// close closes the connections to those databases.
func (h *held) close(ids ...tenancy.ID) {
	for _, id := range ids {
		if conn := h.take(id); conn != nil {
			disconnect(conn)
		}
	}
}

// hold opens connections to the warm databases of a server that will be taken next, up to Config.WarmConns, and closes
// those to databases that others have taken and those that were lost.
func (k *keeper) hold(ctx context.Context, server registry.Server) error {
	if k.p.cfg.WarmConns == 0 {
		return nil
	}
	next, err := k.p.cfg.Registry.WarmStock(ctx, server.Name, k.p.hash)
	if err != nil {
		return err
	}
	next = next[:min(len(next), k.p.cfg.WarmConns)]
	h := &k.p.held
	for _, id := range h.ids(server.Name) {
		if conn := h.take(id); conn == nil {
			continue // a sign-up was faster
		} else if slices.Contains(next, id) && alive(ctx, conn) {
			h.put(id, conn, server.Name)
		} else {
			disconnect(conn)
		}
	}
	for _, id := range next {
		if slices.Contains(h.ids(server.Name), id) {
			continue
		}
		conn, err := k.p.open(ctx, server, id)
		if err != nil {
			return err
		}
		h.put(id, conn, server.Name)
	}
	return nil
}

func alive(ctx context.Context, conn *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return conn.Ping(ctx) == nil
}

// open connects to a warm database as the seed does.
func (p *Provisioner) open(ctx context.Context, server registry.Server, id tenancy.ID) (*pgx.Conn, error) {
	cfg := p.config(server, p.names.tenant(id))
	cfg.RuntimeParams = maps.Clone(cfg.RuntimeParams)
	if cfg.RuntimeParams == nil {
		cfg.RuntimeParams = map[string]string{}
	}
	cfg.RuntimeParams["idle_session_timeout"] = "0"
	return connect(ctx, cfg)
}
