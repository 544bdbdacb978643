package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// fleet is a service that issues and verifies, another one that verifies with the set that the first publishes, and a
// cache in front of either.
type fleet struct {
	issuer   *authn.Issuer
	verifier *authn.Verifier
	handler  *jwks.Handler
	remote   *jwks.Remote
	caches   []*authn.Cache
	requests atomic.Int64
	refused  atomic.Int64
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{
		issuer:  newIssuer(key("0")),
		handler: must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("0")}})),
		verifier: must(authn.NewVerifier(authn.VerifierConfig{
			Keys: []authn.Key{key("0")}, Issuer: issuerName, Audience: audience,
		})),
	}
	e := &endpoint{}
	e.serve(f.handler)
	f.remote = newRemote(t, e, nil)
	if err := f.remote.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.caches = []*authn.Cache{
		must(authn.NewCache(authn.CacheConfig{Verifier: f.verifier})),
		must(authn.NewCache(authn.CacheConfig{Verifier: f.remote})),
	}
	return f
}

// have makes both services accept these keys.
func (f *fleet) have(t *testing.T, keys ...authn.Key) {
	t.Helper()
	if err := errors.Join(f.verifier.SetKeys(keys...), f.handler.SetKeys(keys...)); err != nil {
		t.Error(err)
	}
}

// verify asks every verifier, and returns the errors.
func (f *fleet) verify(ctx context.Context, token string) (errs []error) {
	_, err := f.verifier.Verify(ctx, token)
	errs = append(errs, err)
	_, err = f.remote.Verify(ctx, token)
	errs = append(errs, err)
	for _, c := range f.caches {
		_, err := c.Verify(ctx, token)
		errs = append(errs, err)
	}
	return errs
}

// client signs in again and again, and uses each token until a moment before it expires.
func (f *fleet) client(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		token, expires, err := f.issuer.Issue(authn.Identity{Subject: "admin1", Tenant: "acme", Session: "session1"})
		if err != nil {
			t.Error(err)
		}
		for time.Now().Before(expires) && ctx.Err() == nil {
			for who, err := range f.verify(context.WithoutCancel(ctx), token) {
				f.requests.Add(1)
				if err != nil {
					f.refused.Add(1)
					t.Errorf("verifier %d: %v", who, err)
				}
			}
			sleep(ctx, 100*time.Second)
		}
	}
}

// sleep is time.Sleep in a bubble, until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func TestKeysRotateUnderLoadWithoutARefusal(t *testing.T) {
	t.Parallel()
	rotations := pgtest.Size(2, 50)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.remote.Close()
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for i := range 4 {
			clients.Go(func() {
				sleep(ctx, time.Duration(i)*31*time.Second)
				f.client(ctx, t)
			})
		}
		defer clients.Wait()
		defer stop()
		gone := 0
		defer func() {
			pgtest.Figure(t, "S9",
				"%d rotations of the token key through next, current, previous and gone: %d verifications, %d refused; "+
					"%d tokens of keys that are gone, remembered by caches: all refused", rotations, f.requests.Load(), f.refused.Load(), gone)
		}()
		for i := range rotations {
			current, next := key(fmt.Sprint(i)), key(fmt.Sprint(i+1))
			f.have(t, current, next)
			time.Sleep(10*time.Minute + 10*time.Second) // a cache on the way, the interval, and a slow fetch
			last := sign(current)
			if err := f.issuer.SetKey(next); err != nil {
				t.Error(err)
			}
			time.Sleep(15*time.Minute - time.Second)
			for who, err := range f.verify(ctx, last) { // every cache remembers it
				if err != nil {
					t.Errorf("verifier %d, before the end: %v", who, err)
				}
			}
			time.Sleep(31 * time.Second)
			f.have(t, next)
		}
		// A key that leaks goes at once. Its tokens are good for a quarter of an hour yet, and remembered.
		leaked, next := key(fmt.Sprint(rotations)), key(fmt.Sprint(rotations+1))
		f.have(t, leaked, next)
		time.Sleep(10*time.Minute + 10*time.Second)
		token := sign(leaked)
		stop()
		clients.Wait()
		for who, err := range f.verify(t.Context(), token) {
			if err != nil {
				t.Errorf("verifier %d: %v", who, err)
			}
		}
		f.have(t, next)
		for _, v := range []interface {
			Verify(ctx context.Context, raw string) (*authn.Identity, error)
		}{f.verifier, f.caches[0]} {
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, authn.ErrTokenInvalid) {
				t.Errorf("a key that is gone, in its own service: %v", err)
			}
			gone++
		}
		time.Sleep(5*time.Minute + 10*time.Second)
		for who, err := range f.verify(t.Context(), token) {
			if !errors.Is(err, authn.ErrTokenInvalid) {
				t.Errorf("a key that is gone, verifier %d: %v", who, err)
			}
			gone++
		}
	})
}

func TestKeySignsTooEarlyForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.remote.Close()
		time.Sleep(time.Second)
		f.have(t, key("0"), key("1"))
		errs := f.verify(t.Context(), sign(key("1"))) // against the rules
		if errs[0] != nil || !errors.Is(errs[1], authn.ErrTokenInvalid) {
			t.Errorf("%v", errs)
		}
	})
}

func TestKeysMayChangeWhileTheSetIsServed(t *testing.T) {
	t.Parallel()
	h := must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("a")}}))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 100 {
				if err := h.SetKeys(key("a"), key(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
				if w := ask(h, http.MethodGet, ""); w.Code != http.StatusOK || w.Body.Len() == 0 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
}
