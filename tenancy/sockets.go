package tenancy

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
)

// cancelWindow is how long a socket lives that is dialled after the cut. A query whose socket was closed under it sends
// PostgreSQL a cancel request, so that the server does not go on working; it needs a new socket, for one round trip.
const cancelWindow = time.Second

// sockets owns every network connection of one pool, from dial to Close. So the resolver can end a pool whose users do
// not, and each connection holds a permit of its server's budget.
type sockets struct {
	baseDial pgconn.DialFunc
	account  *connbudget.Account
	timeout  time.Duration // for a connect once it has its permit
	wait     time.Duration // for the permit
	isCut    chan struct{} // closed by cut

	mu   sync.Mutex // guards open, and the closing of isCut; nothing is dialled or closed under it
	open map[*socket]struct{}
}

// dial is the DialFunc of the pool. Every byte to the tenant's server goes through a connection made here.
func (s *sockets) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if a, ok := attemptOf(ctx); ok {
		return a.dial(ctx, network, addr)
	}
	return s.dialCancel(ctx, network, addr)
}

// dialCancel dials for a cancel request, which needs no permit.
func (s *sockets) dialCancel(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := s.account.TakeCancelSlot(ctx); err != nil {
		return nil, err
	}
	conn, err := s.baseDial(ctx, network, addr)
	if err != nil {
		s.account.GiveCancelSlot()
		return nil, err
	}
	return s.add(conn, nil), nil
}

// add adds conn to the set. permit is nil for a cancel request.
func (s *sockets) add(conn net.Conn, permit *connbudget.Permit) *socket {
	c := &socket{Conn: conn, set: s, permit: permit}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
	select {
	case <-s.isCut:
		c.expiry = time.AfterFunc(cancelWindow, func() { _ = c.Close() })
	default:
	}
	return c
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
		c.cut()
	}
}

// socket is a net.Conn that leaves its set and gives its permit back when it is closed.
type socket struct {
	net.Conn
	set    *sockets
	permit *connbudget.Permit // nil for a cancel request, which holds a slot for those
	expiry *time.Timer        // set only if dialled after the cut
	once   sync.Once
}

// Close closes the connection. What must happen once for each connection happens in the first call: pgx closes twice.
//
// PostgreSQL closes its end when the backend is gone, and not before (pqcomm.c, socket_close). Close waits for that, up
// to a second: a permit that came back earlier would let the next connection be counted beside this one.
func (c *socket) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.leave()
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.permit != nil {
			_ = c.SetDeadline(time.Now().Add(connbudget.CloseTimeout))
			if half.CloseWrite() == nil {
				_, _ = io.Copy(io.Discard, c.Conn)
			}
		}
		err = c.Conn.Close()
		c.giveBack()
	})
	return err
}

// cut closes the connection at once. What runs on it gets a cancel request, and its permit comes back when that has had
// its time.
func (c *socket) cut() {
	c.once.Do(func() {
		c.leave()
		_ = c.Conn.Close()
		time.AfterFunc(cancelWindow, c.giveBack)
	})
}

func (c *socket) leave() {
	c.set.mu.Lock()
	delete(c.set.open, c)
	expiry := c.expiry
	c.set.mu.Unlock()
	if expiry != nil {
		expiry.Stop()
	}
}

func (c *socket) giveBack() {
	if c.permit != nil {
		c.permit.GiveBack()
		return
	}
	c.set.account.GiveCancelSlot()
}
