package tenancytest

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// link is the way from a fleet to the server. It delays what comes back, holds it up or cuts it, for this fleet alone.
// While nothing is wrong with it, it passes everything on.
type link struct {
	dialNext func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex // guards what follows
	state linkState
	conns map[*linkConn]struct{}
}

// linkState is what is wrong with a link. The zero linkState is nothing.
type linkState struct {
	delay time.Duration // before each read
	hung  bool          // reads and dials wait
	down  bool          // dials are refused; every connection was closed

	over chan struct{} // closed when another state takes its place
}

func newLink(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *link {
	return &link{
		dialNext: dial, state: linkState{over: make(chan struct{})}, conns: make(map[*linkConn]struct{}),
	}
}

// set puts the link into another state.
func (l *link) set(state linkState) {
	state.over = make(chan struct{})
	l.mu.Lock()
	close(l.state.over)
	l.state = state
	var cut []*linkConn
	if state.down {
		for c := range l.conns {
			cut = append(cut, c)
		}
	}
	l.mu.Unlock()
	for _, c := range cut {
		_ = c.Close()
	}
}

func (l *link) now() linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// dial is a pgconn.DialFunc.
func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := l.wait(ctx); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	conn, err := l.dialNext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &linkConn{Conn: conn, link: l, closed: make(chan struct{}), moved: make(chan struct{}, 1)}
	l.mu.Lock()
	down := l.state.down
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	if down { // since it was dialed
		_ = c.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return c, nil
}

// wait returns when a dial may begin, or why it fails.
func (l *link) wait(ctx context.Context) error {
	for {
		state := l.now()
		switch {
		case state.down:
			return syscall.ECONNREFUSED
		case state.hung:
			select {
			case <-state.over:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
}

// linkConn is a connection over a link.
type linkConn struct {
	net.Conn

	link   *link
	close  sync.Once
	closed chan struct{}

	mu       sync.Mutex // guards deadline
	deadline time.Time  // of reads
	moved    chan struct{}
}

// Read waits as long as the link says, and then reads.
func (c *linkConn) Read(p []byte) (int, error) {
	begin := time.Now()
	for {
		state := c.link.now()
		if state.down {
			return 0, syscall.ECONNRESET
		}
		left := state.delay - time.Since(begin)
		if !state.hung && (state.delay == 0 || left <= 0) {
			n, err := c.Conn.Read(p)
			if err != nil && c.link.now().down {
				err = syscall.ECONNRESET // and not that this side has closed it
			}
			return n, err
		}
		if err := c.pause(state, left); err != nil {
			return 0, err
		}
	}
}

// pause returns nil when Read has to look again.
func (c *linkConn) pause(state linkState, left time.Duration) error {
	c.mu.Lock()
	deadline := c.deadline
	c.mu.Unlock()
	var late, delayed <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	if !state.hung {
		timer := time.NewTimer(left)
		defer timer.Stop()
		delayed = timer.C
	}
	select {
	case <-late:
		return os.ErrDeadlineExceeded
	case <-c.closed:
		return net.ErrClosed
	case <-delayed:
	case <-state.over:
	case <-c.moved:
	}
	return nil
}

// SetDeadline implements [net.Conn].
func (c *linkConn) SetDeadline(t time.Time) error {
	c.move(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (c *linkConn) SetReadDeadline(t time.Time) error {
	c.move(t)
	return c.Conn.SetReadDeadline(t)
}

func (c *linkConn) move(t time.Time) {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	select {
	case c.moved <- struct{}{}:
	default: // the last move was not seen yet
	}
}

// Close implements [net.Conn].
func (c *linkConn) Close() error {
	c.close.Do(func() {
		close(c.closed)
		c.link.mu.Lock()
		delete(c.link.conns, c)
		c.link.mu.Unlock()
	})
	return c.Conn.Close()
}
