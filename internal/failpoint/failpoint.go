// Package failpoint lets tests hurt a program at named points.
//
// The program calls [Set.Before] and [Set.After] around each of its steps, on a Set that is nil wherever no test runs:
// a call is then one comparison. A test makes a Set, says what shall happen where, and hands it in through a door that
// only tests have.
package failpoint

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Action is what happens at a point. ctx is that of the step. What it returns becomes the error of the step; nil lets
// it go on.
type Action func(ctx context.Context) error

// Set says what happens at which points, and remembers which were reached. A point is named by the step and its side:
// "before seed", "after seed". The nil Set does nothing. A Set is safe for concurrent use.
type Set struct {
	mu      sync.Mutex // guards what follows; held for nothing but reading and writing it
	actions map[string]Action
	hits    map[string]int
}

// New returns a Set in which nothing happens yet.
func New() *Set { return &Set{actions: map[string]Action{}, hits: map[string]int{}} }

// On runs a whenever the program reaches point, in place of an earlier action. Nil: nothing.
func (s *Set) On(point string, a Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actions[point] = a
}

// Before is called where step is about to begin. An error is the step's.
func (s *Set) Before(ctx context.Context, step string) error {
	if s == nil {
		return nil
	}
	return s.hit(ctx, "before "+step)
}

// After is called where step has come to its end. An error stands for an answer that was lost: what the step did is
// done.
func (s *Set) After(ctx context.Context, step string) error {
	if s == nil {
		return nil
	}
	return s.hit(ctx, "after "+step)
}

func (s *Set) hit(ctx context.Context, point string) error {
	s.mu.Lock()
	s.hits[point]++
	a := s.actions[point]
	s.mu.Unlock()
	if a == nil {
		return nil
	}
	return a(ctx)
}

// Hits returns how often point was reached.
func (s *Set) Hits(point string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits[point]
}

// Reached returns the points that were reached, in alphabetical order.
func (s *Set) Reached() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.hits))
}
