package tenancy

import (
	"context"
	"net"
	"time"
)

// attempt is one connect, from start to end; its context carries it. It has one permit and one place among the server's
// dials for all the addresses that it tries: sslmode=prefer makes two of one host. If each address needed its own, those
// that hold a place for their first would wait for one another with their second.
type attempt struct {
	account *account
	socket  net.Conn // the last one dialled
	refused error    // why there was no permit: the next address would not get one either

	// server.mu guards the rest.
	granted bool // it was given its permit
	spare   bool // and no socket has it
	ended   bool
}

type (
	attemptKey  struct{}
	acquirerKey struct{}
)

// take gets a the permit for its next dial, waiting as account.take does. A permit that is still with the socket before
// means that this was cut: then the next would be cut too.
func (a *attempt) take(ctx, user context.Context, wait time.Duration) error {
	mu := &a.account.server.mu
	mu.Lock()
	granted, spare := a.granted, a.spare
	a.spare = false
	mu.Unlock()
	switch {
	case spare:
		return nil
	case granted:
		return net.ErrClosed
	case a.refused != nil:
		return a.refused
	}
	if a.refused = a.account.take(ctx, user, wait); a.refused != nil {
		return a.refused
	}
	mu.Lock()
	defer mu.Unlock()
	a.granted = true
	return nil
}

// giveBack takes the permit of a socket that is closed, or was not made: for the next address if the attempt goes on.
func (a *attempt) giveBack() {
	s := a.account.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if !a.ended {
		a.spare = true
		return
	}
	s.releaseLocked(a.account)
}

// end ends the attempt, one way or the other: the next one may begin.
func (a *attempt) end() {
	s := a.account.server
	s.mu.Lock()
	defer s.mu.Unlock()
	a.ended = true
	if a.spare {
		s.releaseLocked(a.account)
	}
	if a.granted {
		s.dialledLocked()
	}
}
