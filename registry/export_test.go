package registry

import "context"

// Normalized is what identity is decided by.
func (e Email) Normalized() string { return e.identity() }

// Beat is one beat of Run, and Leave its end.
func (s *Share) Beat(ctx context.Context) error { return s.beat(ctx) }
func (s *Share) Leave(ctx context.Context)      { s.leave(ctx) }

// Patience is after how many beats a silent process is taken for dead.
const Patience = patience
