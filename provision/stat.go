package provision

import (
	"sync"
	"time"
)

// Stat is a snapshot of a provisioner's figures.
type Stat struct{ steps []StepStat }

// StepStat is a snapshot of what one step has cost in this Provisioner, whether it was taken by Create, Drop or Run:
// "intent", "database", "access", "seed", "step:<name>" or "activate" of sign-ups; "drop", "undo steps" or "forget" of
// undoing and of deletions. An intent that was refused does not count.
type StepStat struct {
	name           string
	count, errors  int64
	total, longest time.Duration
}

// figures are what a Stat is made of.
type figures struct {
	mu    sync.Mutex // guards steps
	steps map[string]StepStat
}

func (f *figures) count(step string, took time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.steps == nil {
		f.steps = map[string]StepStat{}
	}
	s := f.steps[step]
	s.name = step
	s.count++
	if err != nil {
		s.errors++
	}
	s.total += took
	s.longest = max(s.longest, took)
	f.steps[step] = s
}

// Steps returns a snapshot of each step that was taken so far, in the order of their names.
func (s *Stat) Steps() []StepStat { return s.steps }

// Name returns the step's name.
func (s StepStat) Name() string { return s.name }

// Count returns the cumulative count of times that the step was taken, in vain or not.
func (s StepStat) Count() int64 { return s.count }

// ErrorCount returns the cumulative count of times that it failed.
func (s StepStat) ErrorCount() int64 { return s.errors }

// Duration returns the cumulative time that it took.
func (s StepStat) Duration() time.Duration { return s.total }

// Longest returns the longest time that it took.
func (s StepStat) Longest() time.Duration { return s.longest }
