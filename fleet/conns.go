package fleet

import (
	"context"
	"net"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// conns has every network connection to the registry, so that Close can end those that their users do not.
type conns struct {
	base pgconn.DialFunc

	mu    sync.Mutex // guards what follows; nothing is dialled or closed under it
	isCut bool
	open  map[*conn]struct{}
}

func newConns(base pgconn.DialFunc) *conns { return &conns{base: base, open: make(map[*conn]struct{})} }

// dial is the DialFunc of the registry's pool.
func (c *conns) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	raw, err := c.base(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	dialed := &conn{Conn: raw, set: c}
	if !c.add(dialed) {
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	return dialed, nil
}

// add reports whether connections may still be made.
func (c *conns) add(dialed *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isCut {
		c.open[dialed] = struct{}{}
	}
	return !c.isCut
}

// cut closes the connections under their users, and lets no more be made.
func (c *conns) cut() {
	c.mu.Lock()
	c.isCut = true
	open := make([]*conn, 0, len(c.open))
	for dialed := range c.open {
		open = append(open, dialed)
	}
	c.mu.Unlock()
	for _, dialed := range open {
		_ = dialed.Close()
	}
}

// conn is a net.Conn that leaves its set when it is closed.
type conn struct {
	net.Conn
	set *conns
}

func (c *conn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}
