package catalog_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

// slow gives three attempts, and then a minute, two, four and so on up to an hour.
func slow() catalog.Pace { return catalog.Pace{Free: 3, Delay: time.Minute, MaxDelay: time.Hour} }

func at(scope, name string) catalog.Count {
	return catalog.Count{Subject: catalog.Subject{Scope: scope, Name: name}, Pace: slow()}
}

// account is a count as a sign-in has it: it spares attempts from home, and begins anew after a success.
func account(t testing.TB, address string) catalog.Count {
	c := catalog.Count{Subject: catalog.Subject{Scope: "account", Email: email(t, address)}, Pace: slow()}
	c.Spares, c.Resets = true, true
	return c
}

func (f *fixture) try(t testing.TB, counts ...catalog.Count) *catalog.Admission {
	t.Helper()
	return f.attempt(t, catalog.Attempt{Counts: counts})
}

func (f *fixture) attempt(t testing.TB, a catalog.Attempt) *catalog.Admission {
	t.Helper()
	adm, err := f.CountAttempt(t.Context(), a)
	must(t, err)
	return adm
}

// wantWaits makes attempts and wants each to wait as long as this, or as much less as the test took.
func (f *fixture) wantWaits(t testing.TB, a catalog.Attempt, waits ...time.Duration) {
	t.Helper()
	for i, want := range waits {
		got := f.attempt(t, a).Wait
		if got > want || got < want-20*time.Second || got == 0 && want > 0 {
			t.Errorf("attempt %d has to wait for %v, want %v", i, got, want)
		}
	}
}

// pass lets time pass for every count.
func (f *fixture) pass(t testing.TB, d time.Duration) {
	t.Helper()
	f.exec(t, `UPDATE pgtenancy.throttles SET held_until = held_until - $1::interval,
		updated_at = updated_at - $1::interval, expires_at = expires_at - $1::interval`, d)
}

func TestAttemptsAreFreeAndThenWaitEverLonger(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := catalog.Attempt{Counts: []catalog.Count{at("s", "x")}}
	f.wantWaits(t, a, 0, 0, 0, time.Minute, time.Minute)
	waited := time.Minute
	for range 8 {
		f.pass(t, waited)
		waited = min(2*waited, time.Hour)
		f.wantWaits(t, a, 0, waited, waited)
	}
	// An attacker who never stops delays others no longer than that, and leaves nothing that lasts.
	for range 30 {
		f.pass(t, time.Hour)
		f.wantWaits(t, a, 0, time.Hour)
	}
	f.pass(t, 10*time.Hour)
	if n := f.count(t, "pgtenancy.throttles WHERE expires_at > now()"); n != 0 {
		t.Errorf("%d counts are left after all was forgotten", n)
	}
	f.wantWaits(t, a, 0, 0, 0, time.Minute)
}

func TestAttemptIsForgottenInEachMaxDelay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := catalog.Attempt{Counts: []catalog.Count{at("s", "x")}}
	for range 10 {
		f.wantWaits(t, a, 0)
		f.pass(t, time.Hour)
	}
	f.wantWaits(t, a, 0, 0, 0, time.Minute)
	f.pass(t, 2*time.Hour)
	f.wantWaits(t, a, 0, 0, time.Minute)
}

func TestAttemptsAtOnceAreNoMoreThanOneByOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rounds, most := pgtest.Size(3, 200), 0
	defer func() {
		pgtest.Figure(t, "S4", "%d rounds of 64 attempts at once on one account: at most %d were admitted, of 3", rounds,
			most)
	}()
	for round := range rounds {
		admitted := make([]bool, 64)
		must(t, errors.Join(concurrently(len(admitted), func(i int) error {
			adm, err := f.CountAttempt(t.Context(), catalog.Attempt{Counts: []catalog.Count{
				at("account", name("%d", round)), at("address", name("%d-%d", round, i)),
			}})
			admitted[i] = err == nil && adm.Wait == 0
			return err
		})...))
		n := 0
		for _, in := range admitted {
			if in {
				n++
			}
		}
		most = max(most, n)
		if n != 3 {
			t.Fatalf("%d of 64 attempts at once were admitted, want 3", n)
		}
		// What was refused is not held against the address that it came from.
		if n := f.count(t, `pgtenancy.throttles WHERE level > 0.5 AND known = false`); n != (round+1)*4 {
			t.Fatalf("%d counts, want %d", n, (round+1)*4)
		}
	}
}

func TestRefusedAttemptCountsNowhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.wantWaits(t, catalog.Attempt{Counts: []catalog.Count{at("address", "bad")}}, 0, 0, 0, time.Minute)
	for range 10 {
		if adm := f.try(t, at("address", "bad"), at("account", "victim")); adm.Wait == 0 {
			t.Error("was admitted")
		}
	}
	if n := f.count(t, "pgtenancy.throttles"); n != 1 {
		t.Errorf("%d rows, want that of the address alone", n)
	}
	// Of several waits the error reports the longest.
	f.wantWaits(t, catalog.Attempt{Counts: []catalog.Count{at("account", "victim")}}, 0, 0, 0, time.Minute)
	f.pass(t, 59*time.Second)
	f.wantWaits(t, catalog.Attempt{Counts: []catalog.Count{at("account", "victim")}}, time.Second)
	f.pass(t, time.Second)
	f.wantWaits(t, catalog.Attempt{Counts: []catalog.Count{at("account", "victim")}}, 0, 2*time.Minute)
	f.wantWaits(t, catalog.Attempt{Counts: []catalog.Count{at("address", "bad"), at("account", "victim")}}, 2*time.Minute)
}

func TestSuccessResetsTheAccountAndIsTakenBackElsewhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := catalog.Attempt{Counts: []catalog.Count{account(t, "ada@example.org"), at("address", "x")}}
	f.wantWaits(t, a, 0)
	must(t, f.AttemptSucceeded(t.Context(), f.attempt(t, a)))
	var level float64
	must(t, f.pool.QueryRow(t.Context(), `SELECT sum(level) FROM pgtenancy.throttles`).Scan(&level))
	if n := f.count(t, "pgtenancy.throttles"); n != 1 || math.Round(level) != 1 {
		t.Errorf("%d rows, level %v; want the address with the one attempt that failed", n, level)
	}
	for range 5 {
		must(t, f.WithdrawAttempt(t.Context(), f.attempt(t, a)))
	}
	f.wantWaits(t, catalog.Attempt{Counts: a.Counts[1:]}, 0, 0, time.Minute)
}

// An attacker who keeps trying delays everyone, except from addresses where the owner has signed in.
func TestWhoComesFromHomeIsHeldUpByNobodyElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ada := account(t, "ada@example.org")
	from := func(place string) catalog.Attempt {
		home := ada
		home.Scope, home.Name, home.Spares = "home", place, false
		return catalog.Attempt{Counts: []catalog.Count{ada, at("address", place)}, Home: home}
	}
	must(t, f.AttemptSucceeded(t.Context(), f.attempt(t, from("home"))))
	for i := range 3 {
		f.wantWaits(t, from(name("evil%d", i)), 0)
	}
	f.wantWaits(t, from("evil"), time.Minute)
	f.wantWaits(t, from("hotel"), time.Minute)
	for range 20 {
		must(t, f.AttemptSucceeded(t.Context(), f.attempt(t, from("home"))))
	}
	f.wantWaits(t, from("hotel"), time.Minute) // that the owner came in gives a stranger no more attempts
	// At home attempts are counted too, on their own.
	f.wantWaits(t, from("home"), 0, 0, 0, time.Minute)
	f.pass(t, time.Minute)
	must(t, f.AttemptSucceeded(t.Context(), f.attempt(t, from("home"))))
	f.pass(t, 29*24*time.Hour)
	f.wantWaits(t, from("evil"), 0, 0, 0, time.Minute)
	f.wantWaits(t, from("home"), 0)
	f.pass(t, 2*24*time.Hour)
	f.wantWaits(t, from("evil"), 0, 0, 0, time.Minute)
	f.wantWaits(t, from("home"), time.Minute)
}

func TestSweepBoundsTheRowsAndSparesHomesAndWhoIsHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	held := catalog.Attempt{Counts: []catalog.Count{account(t, "ada@example.org")}}
	f.wantWaits(t, held, 0, 0, 0, time.Minute)
	home := catalog.Attempt{Home: account(t, "bob@example.org")}
	must(t, f.AttemptSucceeded(t.Context(), f.attempt(t, home)))
	insert := func(n int, until string) {
		f.exec(t, `INSERT INTO pgtenancy.throttles (key, level, free, delay, most, top, expires_at)
			SELECT sha256(($2 || n)::bytea), 1, 3, 60, 3600, 9, now() + $2::interval FROM generate_series(1,
				$1::int) n`, n, until)
	}
	insert(1000, "-1 second")
	insert(catalog.MaxThrottles+500, "1 hour")
	must(t, f.SweepThrottles(t.Context()))
	if n := f.count(t, "pgtenancy.throttles"); n != catalog.MaxThrottles+1 {
		t.Errorf("%d rows, want %d and a home", n, catalog.MaxThrottles)
	}
	if n := f.count(t, "pgtenancy.throttles WHERE known OR level > 2"); n != 2 {
		t.Errorf("%d of the home and the account under attack are left, want both", n)
	}
	f.wantWaits(t, held, time.Minute)
}

func TestAttemptsSweepNowAndThen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.try(t, at("s", "x"))
	f.pass(t, 24*time.Hour)
	for i := 0; f.count(t, `pgtenancy.throttles WHERE expires_at < now()`) > 0; i++ {
		if i == 5000 { // (63/64)^5000: once in 10^34 runs
			t.Fatal("nobody sweeps")
		}
		f.try(t, at("s", name("%d", i)))
	}
}

func TestKeysOfCountsTellNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	subject := catalog.Subject{Scope: "account", Email: email(t, "acme@example.com")}
	f.try(t, catalog.Count{Subject: subject, Pace: slow()}, at("account", "acme@example.com"),
		at("address", "192.0.2.1/32"),
		at("addr", "ess|192.0.2.1/32"))
	if n := f.count(t, "pgtenancy.throttles"); n != 4 {
		t.Errorf("%d rows, want 4: two subjects have one key", n)
	}
	if n := f.count(t, `pgtenancy.throttles JOIN pgtenancy.admin_email_index ON key = bidx`); n != 0 {
		t.Error("the key of a count is the e-mail's blind index: it tells who has an account")
	}
	dump := f.dump(t)
	for _, plain := range []string{"acme@example.com", "account", "192.0.2.1", "192.0.2.1/32"} {
		sum := sha256.Sum256([]byte(plain))
		if bytes.Contains(dump, []byte("@example.com")) || bytes.Contains(dump, []byte("192.0.2")) ||
			bytes.Contains(dump, []byte(name("%x", sum))) {
			t.Errorf("the dump gives %s away", plain)
		}
	}
	before := f.count(t, "pgtenancy.throttles")
	other := f.ringed(t, []int16{9}, []int16{100})
	_, err := catalog.Of(other).CountAttempt(t.Context(), catalog.Attempt{Counts: []catalog.Count{{
		Subject: subject,
		Pace:    slow(),
	}}})
	must(t, err)
	if n := f.count(t, "pgtenancy.throttles"); n != before+1 {
		t.Error("another key gives the same hash: it is not keyed")
	}
}

// use has the fixture work through another registry.
func (f *fixture) use(r *registry.Registry) { f.Registry, f.Catalog = r, catalog.Of(r) }

// A ring that has one key more counts where the others do; once the old key is gone counts begin anew, and there is
// nothing that a rotation would have to wait for.
func TestCountsOutliveAStepOfARotationAndHoldNoneUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	a := catalog.Attempt{Counts: []catalog.Count{account(t, "acme@example.com")}}
	f.wantWaits(t, a, 0)
	for _, ring := range [][]int16{{1, 2}, {2, 1}} {
		f.use(f.ringed(t, ring, []int16{100}))
		f.wantWaits(t, a, 0)
	}
	f.wantWaits(t, a, time.Minute)
	f.use(f.ringed(t, []int16{2, 1}, []int16{100}))
	_, err := f.Rekey(t.Context(), registry.RekeyConfig{})
	must(t, err)
	f.use(f.ringed(t, []int16{2}, []int16{100}))
	result, err := f.Rekey(t.Context(), registry.RekeyConfig{Retire: []int16{1}})
	if err != nil || result.Left != 0 || result.Broken != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	f.wantWaits(t, a, 0, 0, 0, time.Minute)
}

func TestAttemptsAreCountedWhereTransactionsAreSerializable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, serializable)
	ada := account(t, "ada@example.org")
	home := catalog.Attempt{Counts: []catalog.Count{ada, at("address", "x")}, Home: at("home", "x")}
	admitted := make([]bool, 6)
	must(t, errors.Join(concurrently(len(admitted), func(i int) error {
		adm, err := f.CountAttempt(t.Context(), home)
		admitted[i] = err == nil && adm.Wait == 0
		return err
	})...))
	n := 0
	for _, in := range admitted {
		if in {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d attempts were admitted, want 3", n)
	}
	f.pass(t, time.Hour)
	must(t, f.AttemptSucceeded(t.Context(), f.attempt(t, home)))
}

// ringed returns a registry on f's database with a ring of these keys, the current one of each kind first.
func (f *fixture) ringed(t testing.TB, index, sealing []int16) *registry.Registry {
	t.Helper()
	var cfg keyring.Config
	for _, id := range index {
		cfg.Index = append(cfg.Index, key(id))
	}
	for _, id := range sealing {
		cfg.Seal = append(cfg.Seal, key(id))
	}
	ring, err := keyring.New(cfg)
	must(t, err)
	return newRegistry(t, registry.Config{Pool: f.pool, Keyring: ring})
}
