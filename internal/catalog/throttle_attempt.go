package catalog

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

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

// countAttempt counts an attempt by each key or, if one of them is held, by none. It looks first, so that what is
// refused writes nothing and counts nowhere. Attempts that look at once meet in the update of the row, where one after
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

// CountAttempt counts a, before it is known what will become of it, and says whether it may be made. One that is
// refused counts nowhere. Of attempts at once, in whatever processes, no more are admitted than of those that follow
// each other. Time is the database's. ctx governs the one statement that it is, as a rule.
//
// Rows that say nothing any more are deleted now and then, and those that would be forgotten first with them when there
// are more than 100,000: whoever makes attempts at ever new names pushes out their own. Homes are not among these;
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
		if len(counted) > 0 { // another one came first at what is not among these
			adm.Wait = time.Second
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
			defer cancel()
			return adm, cat.WithdrawAttempt(ctx, adm)
		}
		return adm, nil
	}
	return adm, cat.sweepThrottles(ctx)
}

// uncount takes one attempt back. A delay that is longer than those that are left would call for stays.
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
