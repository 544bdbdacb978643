package authn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
)

// desk is a verifier that accepts "<session> <seconds to live>" and counts.
type desk struct {
	asked  atomic.Int64
	closed atomic.Bool // it accepts nothing any more: its key was retired
	enter  func()      // called in the middle of a verification; may be nil
}

func (d *desk) Verify(_ context.Context, raw string) (*authn.Identity, error) {
	d.asked.Add(1)
	var session string
	var seconds int
	if _, err := fmt.Sscan(raw, &session, &seconds); err != nil || d.closed.Load() {
		return nil, authn.ErrTokenInvalid
	}
	if d.enter != nil {
		d.enter()
	}
	return &authn.Identity{Session: session, ExpiresAt: time.Now().Add(time.Duration(seconds) * time.Second)}, nil
}

func newCache(t testing.TB, d *desk, max int) *authn.Cache {
	t.Helper()
	c, err := authn.NewCache(authn.CacheConfig{Verifier: d, MaxTokens: max})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCacheVerifiesATokenOnce(t *testing.T) {
	t.Parallel()
	d := &desk{}
	c := newCache(t, d, 10)
	for range 3 {
		id, err := c.Verify(t.Context(), "s1 600")
		if err != nil || id.Session != "s1" {
			t.Fatalf("%v, %v", id, err)
		}
		id.Session, id.Role = "mine", "mine" // must not reach the next caller
	}
	if n := d.asked.Load(); n != 1 {
		t.Errorf("verified %d times, want 1", n)
	}
	if _, err := c.Verify(t.Context(), "s1 600 "); err != nil || d.asked.Load() != 2 {
		t.Error("other bytes are another token")
	}
}

func TestCacheRefusesRevokedSessionsRememberedOrNot(t *testing.T) {
	t.Parallel()
	d := &desk{}
	c := newCache(t, d, 10)
	if _, err := c.Verify(t.Context(), "s1 600"); err != nil {
		t.Fatal(err)
	}
	c.Revoke("s1")
	c.Revoke("s1")
	for _, token := range []string{"s1 600", "s1 601"} {
		if _, err := c.Verify(t.Context(), token); !errors.Is(err, authn.ErrTokenInvalid) {
			t.Errorf("%q of a revoked session: %v, want ErrTokenInvalid", token, err)
		}
	}
	if _, err := c.Verify(t.Context(), "s2 600"); err != nil {
		t.Errorf("another session: %v", err)
	}
}

func TestTokenThatCouldOutliveItsRevocationIsRefused(t *testing.T) {
	t.Parallel()
	c := newCache(t, &desk{}, 10)
	if _, err := c.Verify(t.Context(), "s1 3600"); !errors.Is(err, authn.ErrTokenInvalid) {
		t.Errorf("a token of an hour: %v, want ErrTokenInvalid", err)
	}
}

func TestRevokeWinsOverAVerificationUnderWay(t *testing.T) {
	t.Parallel()
	d := &desk{}
	c := newCache(t, d, 10)
	d.enter = func() { c.Revoke("s1") }
	if _, err := c.Verify(t.Context(), "s1 600"); !errors.Is(err, authn.ErrTokenInvalid) {
		t.Errorf("%v, want ErrTokenInvalid", err)
	}
}

func TestCacheForgetsAfterTTLAndAtExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		c := newCache(t, d, 10)
		verify := func(token string) error { _, err := c.Verify(t.Context(), token); return err }
		if err := errors.Join(verify("short 5"), verify("long 600")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		d.closed.Store(true) // the key is retired
		if err := verify("short 5"); !errors.Is(err, authn.ErrTokenInvalid) {
			t.Errorf("expired token: %v", err)
		}
		if err := verify("long 600"); err != nil {
			t.Errorf("within TTL: %v", err)
		}
		time.Sleep(time.Minute)
		if err := verify("long 600"); !errors.Is(err, authn.ErrTokenInvalid) {
			t.Errorf("a retired key is accepted after TTL: %v", err)
		}
	})
}

func TestRevocationsAreForgottenWhenTheirTokensHaveExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, &desk{}, 10)
		for i := range 1000 {
			c.Revoke(fmt.Sprint("s", i))
			time.Sleep(time.Minute)
		}
		if n := c.Revocations(); n > 17 {
			t.Errorf("%d revocations are kept, want at most 17", n)
		}
	})
}

func TestCacheIsBoundedAndRemembersNoRefusal(t *testing.T) {
	t.Parallel()
	d := &desk{}
	c := newCache(t, d, 2)
	for _, token := range []string{"a 600", "b 600", "c 600", "a 600", "bad", "bad", "", "", strings.Repeat("x", 9000)} {
		_, _ = c.Verify(t.Context(), token)
	}
	if n := d.asked.Load(); n != 9 {
		t.Errorf("verified %d times, want 9: two tokens are remembered, and no refusal", n)
	}
}

func TestCacheMayBeUsedByMany(t *testing.T) {
	t.Parallel()
	c := newCache(t, &desk{}, 8)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				session := fmt.Sprintf("s%d-%d", g, i)
				if _, err := c.Verify(t.Context(), session+" 600"); err != nil {
					t.Error(err)
				}
				c.Revoke(session)
				if _, err := c.Verify(t.Context(), session+" 600"); !errors.Is(err, authn.ErrTokenInvalid) {
					t.Errorf("%s is revoked: %v", session, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestNewCacheReportsEveryViolation(t *testing.T) {
	t.Parallel()
	_, err := authn.NewCache(authn.CacheConfig{MaxTokens: -1, TTL: -1, TokenTTL: -1})
	for _, field := range []string{"Verifier", "MaxTokens", "TTL", "TokenTTL"} {
		if err == nil || !strings.Contains(err.Error(), "authn: CacheConfig."+field+": ") {
			t.Errorf("%s is not reported: %v", field, err)
		}
	}
}

func ExampleNewCache() {
	// In front of a *authn.Verifier; a stand-in here.
	c, err := authn.NewCache(authn.CacheConfig{Verifier: &desk{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := c.Verify(context.Background(), "session-1 600")
	fmt.Println(id.Session, err)
	c.Revoke("session-1")
	_, err = c.Verify(context.Background(), "session-1 600")
	fmt.Println(err)
	// Output:
	// session-1 <nil>
	// authn: token invalid
}
