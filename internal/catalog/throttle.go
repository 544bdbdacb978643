package catalog

import (
	"fmt"
	"math"
	"time"

	"github.com/pgtenancy/pgtenancy/registry"
)

// Pace is how fast attempts may follow one another.
type Pace struct {
	// Free is how many attempts come without a delay; at least 1.
	Free int

	// Delay is how long the next one has to wait after these. It doubles with each further attempt.
	Delay time.Duration

	// MaxDelay is the longest delay. After a delay one attempt is forgotten in each MaxDelay, so that this is also how
	// often attempts may come for ever.
	MaxDelay time.Duration
}

// top is the number of attempts after which the delay is MaxDelay. No more are counted, so that all are forgotten after a
// time that nobody can prolong.
func (p Pace) top() float64 {
	return float64(p.Free) + math.Ceil(math.Log2(float64(p.MaxDelay)/float64(p.Delay)))
}

// Subject is what attempts are counted for. The registry keeps a keyed hash of it.
type Subject struct {
	Scope string // which kind of attempt and of subject: counts of different scopes are apart
	Name  string // of what has no e-mail: an address, a tenant
	Email registry.Email
}

// Count is a subject that attempts are counted for, and how fast they may come there.
type Count struct {
	Subject
	Pace

	// Spares says that an attempt from home does not count here.
	Spares bool

	// Resets says that after a success all attempts are forgotten, and not only the one that succeeded.
	Resets bool
}

// Attempt is one that is to be counted, by every one of Counts.
type Attempt struct {
	Counts []Count

	// Home is where the attempt comes from, as in "this account, from this address". It counts once an attempt from there
	// has succeeded, for thirty days, and then in place of those that spare it: whoever hinders an account's owner with
	// attempts of their own does not do so there. The zero Count is nowhere.
	Home Count
}

// Admission is the answer to an attempt.
type Admission struct {
	// Wait is how long the next attempt has to wait. If it is not zero, this one is refused.
	Wait time.Duration

	home Count
	keys map[string]Count // by key; where the attempt was counted
}

// throttleKey returns what a subject is known by: its HMAC under the index key with the lowest ID, which processes one
// step of a rotation apart have in common but for its last step. Then counts begin anew, and old ones expire.
func (cat *Catalog) throttleKey(s Subject) []byte {
	if s == (Subject{}) {
		return nil
	}
	text := fmt.Sprintf("v1|throttles|%d:%s|%d:%s|%s", len(s.Scope), s.Scope, len(s.Name), s.Name, s.Email.Normalized())
	return cat.db.Keys.MACs(text)[0].Sum
}
