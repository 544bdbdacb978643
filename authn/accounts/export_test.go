package accounts

import "github.com/pgtenancy/pgtenancy/internal/catalog"

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
