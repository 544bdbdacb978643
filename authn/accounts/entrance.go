package accounts

import "github.com/pgtenancy/pgtenancy/authn"

// entrance bounds how many requests of one kind that anybody can make are at the registry at once, so that a flood of
// them does not fill its pool, which every other request may need: one element for each.
type entrance chan struct{}

// entranceSize is about as many as may wait for a hash.
const entranceSize = 64

// enter takes a place at e, for leave to give back, or returns authn.ErrBusy at once.
func (e entrance) enter() (leave func(), err error) {
	select {
	case e <- struct{}{}:
		return func() { <-e }, nil
	default:
		return nil, authn.ErrBusy
	}
}

// enter is for what ends in a hash: it is turned away too while no hash may wait.
func (a *Accounts) enter(e entrance) (leave func(), err error) {
	if a.cfg.Hasher.Full() {
		return nil, authn.ErrBusy
	}
	return e.enter()
}
