package accounts_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// hasty refuses at once, and has delays that a slow test does not outlive.
func hasty(c *accounts.Config) {
	c.MinRefusal = -1
	for _, p := range []*accounts.Pace{&c.Throttle.Account, &c.Throttle.Address, &c.Throttle.Tenant, &c.Throttle.SignUps} {
		p.Delay, p.MaxDelay = time.Hour, 24*time.Hour
	}
}

// tries makes attempts, and returns how many of them were looked at before one was throttled; all, if none was.
func (h *house) tries(t *testing.T, attempts ...accounts.SignIn) int {
	t.Helper()
	for i, s := range attempts {
		before := h.Hasher.Runs()
		_, err := h.SignIn(t.Context(), s)
		runs := h.Hasher.Runs() - before
		switch {
		case errors.Is(err, accounts.ErrThrottled):
			if runs != 0 {
				t.Errorf("an attempt that was throttled cost %d key derivations", runs)
			}
			return i
		case !errors.Is(err, accounts.ErrBadCredentials), runs != 1:
			t.Fatalf("attempt %d: %v, after %d key derivations", i, err, runs)
		}
	}
	return len(attempts)
}

func wrong(email string) accounts.SignIn {
	return accounts.SignIn{Email: email, Password: "wrong password"}
}

// times returns n attempts, each as f makes it.
func times(n int, f func(i int) accounts.SignIn) []accounts.SignIn {
	attempts := make([]accounts.SignIn, n)
	for i := range attempts {
		attempts[i] = f(i)
	}
	return attempts
}

func same(email string) func(int) accounts.SignIn {
	return func(int) accounts.SignIn { return wrong(email) }
}

// from returns attempts from the address that the format makes, at no account.
func from(format string) func(int) accounts.SignIn {
	return func(i int) accounts.SignIn {
		s := wrong("no e-mail")
		s.Addr = netip.MustParseAddr(strings.ReplaceAll(format, "#", strconv.Itoa(i+1)))
		return s
	}
}

func TestThrottleTellsNothingOfWhoHasAnAccount(t *testing.T) {
	h := newHouse(t, hasty)
	h.signUp(t, "ada@example.org")
	for _, email := range []string{"ada@example.org", "nobody@example.org"} {
		if n := h.tries(t, times(9, same(email))...); n != 5 {
			t.Errorf("%d attempts on %s, want 5", n, email)
		}
		for _, given := range []string{password, "wrong password"} {
			before := h.Hasher.Runs()
			_, err := h.SignIn(t.Context(), accounts.SignIn{Email: strings.ToUpper(email), Password: given})
			throttled, ok := errors.AsType[*accounts.ThrottledError](err)
			if !ok || !errors.Is(err, accounts.ErrThrottled) || err.Error() != "accounts: too many attempts" {
				t.Fatalf("%s: %v, want a ThrottledError", email, err)
			}
			if after := throttled.RetryAfter(); after > time.Hour || after < 50*time.Minute ||
				middleware.StatusCode(err) != 429 {
				t.Errorf("%s: %d, again after %v", email, middleware.StatusCode(err), after)
			}
			if runs := h.Hasher.Runs() - before; runs != 0 {
				t.Errorf("%d key derivations", runs)
			}
		}
	}
	// Neither a restart nor another process forgets.
	h.configure(t, hasty)
	if n := h.tries(t, wrong("ada@example.org")); n != 0 {
		t.Error("a restart forgets")
	}
	if log := h.Log.String(); strings.Contains(log, "example.org") {
		t.Error("the log holds an e-mail")
	}
}

func TestManySignInsAtOnceAreNoMoreThanOneByOne(t *testing.T) {
	h := newHouse(t, hasty)
	var all sync.WaitGroup
	before := h.Hasher.Runs()
	for i := range 64 {
		all.Go(func() {
			s := wrong("ada@example.org")
			s.Addr = netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			_, err := h.SignIn(t.Context(), s)
			if !errors.Is(err, accounts.ErrThrottled) && !errors.Is(err, accounts.ErrBadCredentials) {
				t.Error(err)
			}
		})
	}
	pgtest.Wait(t, "every sign-in ends", all.Wait)
	if runs := h.Hasher.Runs() - before; runs != 5 {
		t.Errorf("%d passwords were looked at, want 5", runs)
	}
}

func TestAddressIsAnIPv4AddressOrAnIPv6Network(t *testing.T) {
	h := newHouse(t, hasty, func(c *accounts.Config) { c.Throttle.Address.Free = 3 })
	for format, want := range map[string]int{
		"192.0.2.1": 3, "198.51.100.#": 6, "2001:db8::#": 3, "2001:db8:1:2:#::1": 3, "2001:db8:2:#::1": 6, "fe80::#%eth0": 3,
	} {
		if n := h.tries(t, times(6, from(format))...); n != want {
			t.Errorf("%s: %d attempts, want %d", format, n, want)
		}
	}
	mapped := wrong("x@example.org")
	mapped.Addr = netip.MustParseAddr("::ffff:192.0.2.1")
	if n := h.tries(t, mapped); n != 0 {
		t.Error("an IPv4 address in IPv6 is another one")
	}
	nowhere := func(i int) accounts.SignIn { return wrong(fmt.Sprintf("nowhere%d@example.org", i)) }
	if n := h.tries(t, times(6, nowhere)...); n != 6 {
		t.Errorf("without an address: %d attempts of 6, though they have none in common", n)
	}
}

func TestTenantsOwnPageIsThrottled(t *testing.T) {
	h := newHouse(t, hasty, func(c *accounts.Config) { c.Throttle.Tenant.Free = 7 })
	page := func(tenant tenancy.ID) func(int) accounts.SignIn {
		return func(i int) accounts.SignIn {
			s := wrong(fmt.Sprintf("somebody%d@example.org", i))
			s.Tenant = tenant
			return s
		}
	}
	if n := h.tries(t, times(20, page("acme"))...); n != 7 {
		t.Errorf("%d attempts, want 7", n)
	}
	if n := h.tries(t, times(4, page("other"))...); n != 4 {
		t.Errorf("%d attempts at another tenant, want 4", n)
	}
}

// What was refused costs the owner nothing where they have been before, and what they do right is not counted.
func TestOwnerSignsInFromHomeWhateverOthersTry(t *testing.T) {
	h := newHouse(t, hasty, func(c *accounts.Config) { c.Throttle.Address.Free = 20 })
	h.signUp(t, "ada@example.org")
	home := accounts.SignIn{Email: "ada@example.org", Password: password, Addr: netip.MustParseAddr("2001:db8::1")}
	for range 30 {
		_ = must(h.SignIn(t.Context(), home))(t)
	}
	evil := wrong("ada@example.org")
	evil.Addr = netip.MustParseAddr("192.0.2.66")
	if n := h.tries(t, times(9, func(int) accounts.SignIn { return evil })...); n != 5 {
		t.Errorf("%d attempts from elsewhere, want 5", n)
	}
	home.Addr = netip.MustParseAddr("2001:db8::2") // a network's addresses are one
	_ = must(h.SignIn(t.Context(), home))(t)
	if n := h.tries(t, evil); n != 0 {
		t.Error("that the owner signed in gave a stranger more attempts")
	}
	mistyped := home
	mistyped.Password = "wrong password"
	if n := h.tries(t, times(4, func(int) accounts.SignIn { return mistyped })...); n != 4 {
		t.Errorf("%d attempts at home, want 4", n)
	}
	_ = must(h.SignIn(t.Context(), home))(t)
	if n := h.tries(t, times(9, func(int) accounts.SignIn { return mistyped })...); n != 5 {
		t.Errorf("%d attempts at home after a success, want 5", n)
	}
	// Without an address a success resets the account.
	h.signUp(t, "bob@example.org")
	bob := accounts.SignIn{Email: "bob@example.org", Password: password}
	for range 3 {
		if n := h.tries(t, times(4, same("bob@example.org"))...); n != 4 {
			t.Errorf("%d attempts, want 4", n)
		}
		_ = must(h.SignIn(t.Context(), bob))(t)
	}
}

func TestSignUpsAreThrottledByAddressAndInAll(t *testing.T) {
	h := newHouse(t, func(c *accounts.Config) {
		c.Throttle.SignUp.Free, c.Throttle.SignUps = 2, accounts.Pace{Free: 3, Delay: time.Hour, MaxDelay: time.Hour}
	})
	up := func(email, address string) error {
		f := form(email)
		f.Addr = netip.MustParseAddr(address)
		before := h.Hasher.Runs()
		_, err := h.SignUp(t.Context(), f)
		if errors.Is(err, accounts.ErrThrottled) && h.Hasher.Runs() != before {
			t.Error("a sign-up that was throttled cost a key derivation")
		}
		return err
	}
	common := form("ada@example.org")
	common.Password, common.Addr = "password1", netip.MustParseAddr("192.0.2.1")
	for range 5 { // makes nothing and tells nothing
		if _, err := h.SignUp(t.Context(), common); errors.Is(err, accounts.ErrThrottled) {
			t.Error("a form that was filled in wrong counts")
		}
	}
	for i, c := range []struct {
		email, address string
		want           error
	}{
		{"ada@example.org", "192.0.2.1", nil},
		{"ada@example.org", "192.0.2.1", registry.ErrEmailTaken},
		{"bob@example.org", "192.0.2.1", accounts.ErrThrottled},
		{"ada@example.org", "192.0.2.2", registry.ErrEmailTaken},
		{"bob@example.org", "192.0.2.3", accounts.ErrThrottled},
	} {
		if err := up(c.email, c.address); !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
	}
}

func TestWhoIsSignedInCannotGuessThePasswordEither(t *testing.T) {
	h := newHouse(t, hasty)
	id := h.identity(t, h.signUp(t, "ada@example.org"))
	for range 5 {
		if err := h.CheckPassword(t.Context(), id, "wrong password"); !errors.Is(err, accounts.ErrBadCredentials) {
			t.Errorf("%v, want ErrBadCredentials", err)
		}
	}
	before := h.Hasher.Runs()
	for _, given := range []string{"wrong password", password} {
		if err := h.ChangePassword(t.Context(), id, given, "a new password"); !errors.Is(err, accounts.ErrThrottled) {
			t.Errorf("change: %v, want ErrThrottled", err)
		}
		if err := h.CheckPassword(t.Context(), id, given); !errors.Is(err, accounts.ErrThrottled) {
			t.Errorf("check: %v, want ErrThrottled", err)
		}
	}
	if runs := h.Hasher.Runs() - before; runs != 0 {
		t.Errorf("%d key derivations", runs)
	}
	_ = must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
}

// An attempt that found no one free to look at it is none.
func TestAttemptThatWasShedDoesNotCount(t *testing.T) {
	h := newHouse(t, hasty, func(c *accounts.Config) {
		var err error
		c.Hasher, err = authn.NewHasher(authn.HasherConfig{MemoryKiB: 16 << 10, Time: 3, Concurrency: 1, QueueWait: -1})
		if err != nil {
			t.Fatal(err)
		}
	})
	for throttled := false; !throttled; {
		var all sync.WaitGroup
		var mu sync.Mutex // guards throttled
		for range 3 {
			all.Go(func() {
				_, err := h.SignIn(t.Context(), wrong("ada@example.org"))
				mu.Lock()
				defer mu.Unlock()
				throttled = throttled || errors.Is(err, accounts.ErrThrottled)
			})
		}
		pgtest.Wait(t, "every sign-in ends", all.Wait)
		throttled = throttled && h.Hasher.Runs() >= 5
		if h.Hasher.Runs() > 5 {
			break
		}
	}
	if runs := h.Hasher.Runs(); runs != 5 {
		t.Errorf("%d passwords were looked at, want 5", runs)
	}
}

func TestThrottleCanBeTurnedOff(t *testing.T) {
	h := newHouse(t, hasty, func(c *accounts.Config) { c.Throttle.Off = true })
	if n := h.tries(t, times(20, same("ada@example.org"))...); n != 20 {
		t.Errorf("%d attempts", n)
	}
	var rows int
	if err := h.Catalog.QueryRow(t.Context(),
		`SELECT count(*) FROM pgtenancy.throttles`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

func TestNewReportsEveryPaceThatIsWrong(t *testing.T) {
	_, err := accounts.New(accounts.Config{Throttle: accounts.Throttle{
		Account: accounts.Pace{Free: -1}, Address: accounts.Pace{Delay: -1}, Tenant: accounts.Pace{Delay: 2, MaxDelay: 1},
	}})
	for _, want := range []string{
		"Throttle.Account: Free and Delay must", "Throttle.Address: Free and Delay must", "Throttle.Tenant: MaxDelay must",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
