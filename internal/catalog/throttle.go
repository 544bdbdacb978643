package catalog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
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

// top is the number of attempts after which the delay is MaxDelay. No more are counted, so that all are forgotten after
// a bounded time.
func (p Pace) top() float64 {
	return float64(p.Free) + math.Ceil(math.Log2(float64(p.MaxDelay)/float64(p.Delay)))
}

// Subject is what attempts are counted for. The registry keeps a keyed hash of it.
type Subject struct {
	Scope string // which kind of attempt and of subject: counts of different scopes are apart
	Name  string // of a subject without e-mail: an address, a tenant
	Email registry.Email
}

// Count is a subject that attempts are counted for, and how fast they may come there.
type Count struct {
	Subject
	Pace

	// Spares says that an attempt from home does not count here.
	Spares bool

	// Resets makes a success forget all attempts, and not only the successful one.
	Resets bool
}

// Attempt is an attempt to be counted under each of Counts.
type Attempt struct {
	Counts []Count

	// Home is where the attempt comes from, as in "this account, from this address". It counts once an attempt from there
	// has succeeded, for thirty days, and then in place of the counts that spare it: attempts from other places do not
	// delay the account's owner there. The zero Count is nowhere.
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
	email, _ := regdb.NormalizeEmail(s.Email.Reveal())
	text := fmt.Sprintf("v1|throttles|%d:%s|%d:%s|%s", len(s.Scope), s.Scope, len(s.Name), s.Name, email)
	if macs := cat.db.Keys.MACs(text); len(macs) > 0 {
		return macs[0].Sum
	}
	sum := sha256.Sum256([]byte(cat.db.Keys.Sign(text))) // a ring without index keys
	return sum[:]
}

// knownFor is how long a home is known after a success there: as long as a session lives by default.
const knownFor = 30 * 24 * time.Hour

// withdrawTimeout bounds what takes back a count, which goes on when the attempt's context ends.
const withdrawTimeout = 5 * time.Second

// nextLevel is what a row's level is after one more attempt, and nextHold until when that holds up the next one.
// Nothing is forgotten while one is held up.
const (
	nextLevel = `least(excluded.top, 1 + greatest(0, throttles.level - greatest(0,
		extract(epoch FROM now() - coalesce(throttles.held_until, throttles.updated_at))::float8) / excluded.most))`
	nextHold = `CASE WHEN round(` + nextLevel + `) >= excluded.free THEN now() + interval '1 second' *
		least(excluded.most, excluded.delay * power(2, round(` + nextLevel + `) - excluded.free)) END`
)

// countAttempt counts an attempt by each key or, if one of them is held, by none. It looks first, so that a refused
// attempt writes nothing and counts nowhere. Attempts that look at once meet in the update of the row, where one after
// the other sees what the last has made of it.
const countAttempt = `
WITH asked AS (
	SELECT * FROM unnest($1::bytea[], $2::float8[], $3::float8[], $4::float8[], $5::float8[], $6::bool[])
		AS a (key, free, delay, most, top, spares)
), wanted AS (
	SELECT a.* FROM asked a CROSS JOIN (SELECT EXISTS (SELECT 1 FROM pgtenancy.throttles
		WHERE key = $7::bytea AND known AND expires_at > now()) AS known) home
	WHERE CASE WHEN a.key = $7::bytea THEN home.known ELSE NOT (a.spares AND home.known) END
), held AS (
	SELECT extract(epoch FROM max(t.held_until) - now())::float8 AS wait
	FROM pgtenancy.throttles t JOIN wanted w ON w.key = t.key WHERE t.held_until > now()
), counted AS (
	INSERT INTO pgtenancy.throttles (key, level, free, delay, most, top, held_until, expires_at)
	SELECT key, 1, free, delay, most, top,
		CASE WHEN free <= 1 THEN now() + delay * interval '1 second' END, now() + 2 * most * interval '1 second'
	FROM wanted WHERE (SELECT wait FROM held) IS NULL ORDER BY key
	ON CONFLICT (key) DO UPDATE SET level = ` + nextLevel + `,
		free = excluded.free, delay = excluded.delay, most = excluded.most, top = excluded.top, updated_at = now(),
		held_until = ` + nextHold + `,
		expires_at = greatest(throttles.expires_at, now() + interval '1 second' * excluded.most * (1 + ` + nextLevel + `))
	WHERE throttles.held_until IS NULL OR throttles.held_until <= now()
	RETURNING key
)
SELECT coalesce((SELECT wait FROM held), 0), (SELECT count(*) FROM wanted), ARRAY(SELECT key FROM counted)`

// CountAttempt counts a before its outcome is known, and says whether it may be made. A refused attempt counts nowhere.
// It admits no more of simultaneous attempts, in any processes, than of consecutive ones. Time is the database's. ctx
// governs the one statement that it is, as a rule.
//
// It now and then deletes rows that say nothing any more, and with them the rows that would be forgotten first when
// there are more than 100,000: a client that invents new names displaces its own rows. Homes are not deleted for that;
// there are no more of them than sign-ins that succeeded.
func (cat *Catalog) CountAttempt(ctx context.Context, a Attempt) (*Admission, error) {
	counts := a.Counts
	if a.Home != (Count{}) {
		counts = append([]Count{a.Home}, counts...)
	}
	n := len(counts)
	keys, spares, known := make([][]byte, n), make([]bool, n), make(map[string]Count, n)
	free, delay, most, top := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i, c := range counts {
		keys[i], spares[i] = cat.throttleKey(c.Subject), c.Spares
		free[i], delay[i], most[i], top[i] = float64(c.Free), c.Delay.Seconds(), c.MaxDelay.Seconds(), c.top()
		known[string(keys[i])] = c
	}
	var wait float64
	var wanted int
	var counted [][]byte
	err := cat.db.QueryRow(ctx, "count attempt", countAttempt,
		[]any{keys, free, delay, most, top, spares, cat.throttleKey(a.Home.Subject)}, &wait, &wanted, &counted)
	if err != nil {
		return nil, err
	}
	home := a.Home
	home.Name = strings.Clone(home.Name) // kept until AttemptSucceeded; the caller may reuse its bytes
	adm := &Admission{home: home, keys: make(map[string]Count, len(counted))}
	for _, key := range counted {
		adm.keys[string(key)] = known[string(key)]
	}
	if len(counted) < wanted {
		adm.Wait = max(time.Duration(wait*float64(time.Second)), time.Millisecond)
		if len(counted) > 0 { // another attempt came first at one of the others
			adm.Wait = time.Second
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
			defer cancel()
			return adm, cat.WithdrawAttempt(ctx, adm)
		}
		return adm, nil
	}
	return adm, cat.sweepThrottles(ctx)
}

// uncount takes one attempt back. A delay stays if it is longer than the remaining attempts call for.
const uncount = `UPDATE pgtenancy.throttles SET level = greatest(0, level - 1),
	held_until = CASE WHEN round(level - 1) >= free THEN held_until END
	WHERE key = ANY($1::bytea[])`

// WithdrawAttempt takes back that an attempt was counted, because it was not made. ctx governs the statement.
func (cat *Catalog) WithdrawAttempt(ctx context.Context, a *Admission) error {
	keys := make([][]byte, 0, len(a.keys))
	for key := range a.keys {
		keys = append(keys, []byte(key))
	}
	_, err := cat.db.Exec(ctx, "withdraw attempt", uncount, keys)
	return err
}

// AttemptSucceeded takes back that an attempt was counted, has the counts that are to be reset begin anew, and
// remembers where it came from. ctx governs the transaction.
func (cat *Catalog) AttemptSucceeded(ctx context.Context, a *Admission) error {
	home := string(cat.throttleKey(a.home.Subject))
	var reset, back [][]byte
	for key, c := range a.keys {
		switch {
		case c.Resets && key != home:
			reset = append(reset, []byte(key))
		case key != home:
			back = append(back, []byte(key))
		}
	}
	return regdb.Redact("end attempt", regdb.Retry(ctx, func() error {
		var b pgx.Batch
		b.Queue(`DELETE FROM pgtenancy.throttles WHERE key = ANY($1::bytea[]) AND NOT known`, reset)
		b.Queue(uncount, back)
		if home != "" {
			h := a.home
			b.Queue(`INSERT INTO pgtenancy.throttles (key, level, free, delay, most, top, known, expires_at)
				VALUES ($1, 0, $2, $3, $4, $5, true, now() + $6::interval)
				ON CONFLICT (key) DO UPDATE SET level = 0, held_until = NULL, known = true, updated_at = now(),
					expires_at = excluded.expires_at`,
				[]byte(home), float64(h.Free), h.Delay.Seconds(), h.MaxDelay.Seconds(), h.top(), knownFor)
		}
		return cat.db.Pool.SendBatch(ctx, &b).Close()
	}))
}

const (
	// maxThrottles is how many rows a sweep leaves, homes not counted; about 20 MB with their indexes.
	maxThrottles = 100_000

	sweepInterval = 10 * time.Second // of all processes together
	sweepOdds     = 64               // one attempt of so many asks whether it is time
)

// sweepThrottles deletes expired rows, and rows above maxThrottles, if this caller gets the lease. Between two sweeps
// the table grows by the admitted attempts.
func (cat *Catalog) sweepThrottles(ctx context.Context) error {
	if rand.N(sweepOdds) > 0 { //nolint:gosec // nothing is won by guessing it
		return nil
	}
	if mine, err := cat.TryLease(ctx, "sweep throttles", sweepInterval); err != nil || !mine {
		return err
	}
	return cat.sweepThrottlesNow(ctx)
}

func (cat *Catalog) sweepThrottlesNow(ctx context.Context) error {
	if _, err := cat.db.Exec(ctx, "sweep throttles", `DELETE FROM pgtenancy.throttles WHERE key IN (
			SELECT key FROM pgtenancy.throttles WHERE expires_at <= now() ORDER BY expires_at LIMIT $1)`,
		maxThrottles); err != nil {
		return err
	}
	_, err := cat.db.Exec(ctx, "sweep throttles", `DELETE FROM pgtenancy.throttles WHERE key IN (
			SELECT key FROM pgtenancy.throttles WHERE NOT known ORDER BY expires_at
			LIMIT greatest(0, (SELECT count(*) FROM pgtenancy.throttles WHERE NOT known) - $1::bigint))`, maxThrottles)
	return err
}
