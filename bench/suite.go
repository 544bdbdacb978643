package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// benchmark is one noun: its figures are about one thing.
type benchmark struct {
	name string
	run  func(ctx context.Context, s *suite) error
}

func benchmarks() []benchmark {
	return []benchmark{
		{"hit", hit},
		{"http", routed},
		{"token", token},
		{"overload", overload},
		{"memory", memory},
		{"first", first},
		{"signup", signUp},
		{"testkit", testKit},
	}
}

func names() (all []string) {
	for _, b := range benchmarks() {
		all = append(all, b.name)
	}
	return all
}

// suite is one run of some benchmarks.
type suite struct {
	short    bool
	progress io.Writer
	start    time.Time
	current  string
	report   *report
	shared   *fleet // started by the first benchmark that needs it
}

func newSuite(short bool, progress io.Writer) *suite {
	return &suite{short: short, progress: progress, start: time.Now(), report: newReport(short)}
}

// run runs the benchmark of that name, or all.
func (s *suite) run(ctx context.Context, only string) error {
	if only != "" && !slices.Contains(names(), only) {
		return fmt.Errorf("no benchmark %q: there are %q", only, names())
	}
	for _, b := range benchmarks() {
		if only != "" && b.name != only {
			continue
		}
		s.current = b.name
		s.say("begins")
		if err := b.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	return nil
}

// say shows where a long run stands.
func (s *suite) say(format string, args ...any) {
	fmt.Fprintf(s.progress, "%6.1fs  %-8s  %s\n", time.Since(s.start).Seconds(), s.current, fmt.Sprintf(format, args...))
}

// add notes a figure of the current benchmark: the median of its runs.
func (s *suite) add(f figure, runs ...float64) {
	f.Benchmark = s.current
	s.report.add(f, runs)
}

// fleet returns the databases of the tenants, the same for all benchmarks.
func (s *suite) fleet(ctx context.Context) (*fleet, error) {
	if s.shared != nil {
		return s.shared, nil
	}
	n := pick(s.short, 8, 1000)
	s.say("starts PostgreSQL and makes %s databases", thousands(n))
	f, err := startFleet(ctx, n, s.say)
	if err != nil {
		return nil, err
	}
	s.shared = f
	s.report.Machine.PostgreSQL = f.version
	return f, nil
}

func (s *suite) close() error {
	if s.shared == nil {
		return nil
	}
	s.current = "bench"
	s.say("stops PostgreSQL")
	return s.shared.close()
}

// pick is for figures that a short run makes smaller.
func pick[T any](short bool, small, full T) T {
	if short {
		return small
	}
	return full
}

// thousands writes 12000 as 12,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// count writes "1 tenant" and "1,000 tenants".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}
