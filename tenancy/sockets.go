package tenancy

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// cancelWindow is how long a socket lives that is dialled after the cut. A query whose socket was closed under it sends
// PostgreSQL a cancel request, or the server would work on for nobody; it needs a new socket, for one round trip.
const cancelWindow = time.Second

// sockets owns every network connection of one pool, from dial to Close, so that the resolver can end a pool whose users
// do not.
type sockets struct {
	base  pgconn.DialFunc
	isCut chan struct{} // closed by cut

	mu   sync.Mutex // guards open, and the closing of isCut; nothing is dialled or closed under it
	open map[*socket]struct{}
}

func newSockets(base pgconn.DialFunc) *sockets {
	return &sockets{base: base, isCut: make(chan struct{}), open: make(map[*socket]struct{})}
}

// dial is the DialFunc of the pool. Every byte to the tenant's server goes through a connection made here.
func (s *sockets) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := s.base(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &socket{Conn: conn, set: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
	select {
	case <-s.isCut:
		c.expiry = time.AfterFunc(cancelWindow, func() { _ = c.Close() })
	default:
	}
	return c, nil
}

// cut closes the sockets under their users. It may be called more than once.
func (s *sockets) cut() {
	s.mu.Lock()
	select {
	case <-s.isCut:
		s.mu.Unlock()
		return
	default:
		close(s.isCut)
	}
	open := make([]*socket, 0, len(s.open))
	for c := range s.open {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

// socket is a net.Conn that leaves its set when it is closed.
type socket struct {
	net.Conn
	set    *sockets
	expiry *time.Timer // set only if dialled after the cut
	once   sync.Once
}

// Close closes the connection. What must happen once for each connection happens in the first call: pgx closes twice.
func (c *socket) Close() error {
	c.once.Do(func() {
		c.set.mu.Lock()
		delete(c.set.open, c)
		expiry := c.expiry
		c.set.mu.Unlock()
		if expiry != nil {
			expiry.Stop()
		}
	})
	return c.Conn.Close()
}
