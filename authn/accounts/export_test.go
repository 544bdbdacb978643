package accounts

import (
	"context"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/failpoint"
)

// SetFailpoints sets where and how tests hurt what c configures.
func (c *Config) SetFailpoints(s *failpoint.Set) { c.failpoints = s }

// Work is one pass of Run.
func Work(ctx context.Context, a *Accounts) error { return a.work(ctx) }

// SignUpAttempt is the count of a sign-up from no address.
func SignUpAttempt(a *Accounts) catalog.Attempt { return a.cfg.Throttle.forSignUp(SignUp{}) }

// Waiting is how many callers wait for keyed sign-ups.
func Waiting(a *Accounts) (n int) {
	a.flights.mu.Lock()
	defer a.flights.mu.Unlock()
	for _, fl := range a.flights.underWay {
		n += fl.waiting
	}
	return n
}
