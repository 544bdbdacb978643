package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// naming returns a function that returns tokens whose header names a key. They are refused before their signature is
// looked at, if the set does not hold that.
func naming() func(id string) string {
	parts := strings.Split(sign(key("a")), ".")
	return func(id string) string {
		return encode(fmt.Appendf(nil, `{"alg":"EdDSA","kid":%q,"typ":"at+jwt"}`, id)) + "." + parts[1] + "." + parts[2]
	}
}

func TestFloodOfUnknownKeysCostsOneFetchACooldown(t *testing.T) {
	minutes, senders := pgtest.Size(10, 120), 8
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		e.publish(key("a"))
		r := newRemote(t, e, func(cfg *jwks.RemoteConfig) { cfg.Interval = 24 * time.Hour; cfg.MaxStale = 48 * time.Hour })
		defer r.Close()
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		good, named := sign(key("a")), naming()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		end := time.Now().Add(time.Duration(minutes) * time.Minute)
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := 0; time.Now().Before(end); i++ {
					if _, err := r.Verify(t.Context(), named(fmt.Sprintf("%d-%d", s, i))); !errors.Is(err, authn.ErrTokenInvalid) {
						t.Errorf("%v", err)
					}
					if s == 0 && i%10 == 0 {
						if _, err := r.Verify(t.Context(), good); errors.Is(err, authn.ErrTokenInvalid) {
							t.Errorf("a good token in the flood: %v", err)
						}
					}
					time.Sleep(500 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		fetches, tokens := e.asked.Load(), senders*minutes*120
		defer pgtest.Figure(t, "S1", "%d tokens with as many unknown keys in %d min: %d fetches, heap %+d KiB",
			tokens, minutes, fetches, (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10)
		if most := int64(minutes)*2 + 1; fetches > most || fetches < most/2 {
			t.Errorf("%d fetches in %d min, want %d at most, and some", fetches, minutes, most)
		}
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
	})
}

func TestKeyThatSignsUnannouncedIsFoundAfterTheCooldown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		e.publish(key("a"))
		r := newRemote(t, e, nil)
		defer r.Close()
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		e.publish(key("b"), key("a"))
		fresh := sign(key("b"))
		if _, err := r.Verify(t.Context(), fresh); !errors.Is(err, authn.ErrTokenInvalid) || e.asked.Load() != 1 {
			t.Errorf("in the cooldown: %v, %d fetches", err, e.asked.Load())
		}
		time.Sleep(30 * time.Second)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := r.Verify(t.Context(), fresh); err != nil {
					t.Errorf("after the cooldown: %v", err)
				}
			})
		}
		wg.Wait()
		if n := e.asked.Load(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

func TestFetchOutlivesTheRequestThatAskedForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		e.publish(key("a"))
		r := newRemote(t, e, nil)
		defer r.Close()
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		handler := must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("b")}}))
		e.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			handler.ServeHTTP(w, r)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Verify(ctx, sign(key("b"))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the request that asked: %v", err)
		}
		if _, err := r.Verify(t.Context(), sign(key("b"))); err != nil || e.asked.Load() != 2 {
			t.Errorf("the next one: %v, %d fetches", err, e.asked.Load())
		}
	})
}

func TestRequestsThatWaitForAFetchAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		e.publish(key("a"))
		r := newRemote(t, e, nil)
		defer r.Close()
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		e.hang()
		named := naming()
		var mu sync.Mutex // guards atOnce and late
		var atOnce, late int
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				_, err := r.Verify(t.Context(), named(fmt.Sprint("k", i)))
				mu.Lock()
				defer mu.Unlock()
				if err == nil || errors.Is(err, authn.ErrTokenInvalid) {
					t.Errorf("while the set cannot be fetched: %v", err)
				}
				if time.Since(start) == 0 {
					atOnce++
				} else {
					late++
				}
			})
		}
		wg.Wait()
		if late != 256 || atOnce != 744 || time.Since(start) > 10*time.Second {
			t.Errorf("%d waited and %d did not, for %v", late, atOnce, time.Since(start))
		}
		if _, err := r.Verify(t.Context(), sign(key("a"))); err != nil {
			t.Errorf("the known key: %v", err)
		}
	})
}
