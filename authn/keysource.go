package authn

import (
	"context"
	"sync/atomic"
)

// KeySource finds the keys of a [Verifier] that is given none itself. Both methods may be called by many at once.
type KeySource interface {
	// Key returns the key with this id, which has the form of one. It returns an error that matches ErrTokenInvalid if
	// there surely is none, and any other error if it could not find out. ctx is the context that Verify was given.
	Key(ctx context.Context, id string) (Key, error)

	// HasKey reports whether there is a key with this id, as far as is known: it does not block.
	HasKey(id string) bool
}

// keySet is the KeySource of keys that are given.
type keySet struct {
	keys atomic.Pointer[map[string]Key] // the map is never written to
}

func (s *keySet) Key(_ context.Context, id string) (Key, error) {
	key, ok := (*s.keys.Load())[id]
	if !ok {
		return Key{}, ErrTokenInvalid
	}
	return key, nil
}

func (s *keySet) HasKey(id string) bool {
	_, ok := (*s.keys.Load())[id]
	return ok
}
