package jwks_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
	"github.com/pgtenancy/pgtenancy/middleware"
)

var _ middleware.Verifier = (*jwks.Remote)(nil)

func TestRemoteVerifiesWithPublishedKeys(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("a"), key("b")}})))
	defer server.Close()
	r, err := jwks.NewRemote(jwks.RemoteConfig{URL: server.URL, Issuer: issuerName, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if got, err := r.Verify(t.Context(), sign(key(id))); err != nil || got.Tenant != "acme" || got.KeyID != id {
			t.Errorf("key %s: %+v, %v", id, got, err)
		}
	}
	if _, err := r.Verify(t.Context(), sign(key("c"))); !errors.Is(err, authn.ErrTokenInvalid) {
		t.Errorf("a key that is not published: %v", err)
	}
	if !r.HasKey("a") || r.HasKey("c") {
		t.Error("HasKey does not report the published keys")
	}
}

func TestTokenWaitsForTheFirstSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		handler := must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("a")}}))
		e.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			handler.ServeHTTP(w, r)
		}))
		r := newRemote(t, e, nil)
		defer r.Close()
		if _, err := r.Verify(t.Context(), sign(key("a"))); err != nil {
			t.Error(err)
		}
	})
}

func TestRemoteComesUpWithoutItsIssuer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		e.fail(http.StatusBadGateway, "")
		r := newRemote(t, e, nil)
		defer r.Close()
		token := sign(key("a"))
		if _, err := r.Verify(t.Context(), token); err == nil || errors.Is(err, authn.ErrTokenInvalid) {
			t.Errorf("before the first set: %v, want that nobody knows", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := r.Ready(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "502") {
			t.Errorf("Ready without an issuer: %v", err)
		}
		e.publish(key("a"))
		if err := r.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := r.Verify(t.Context(), token); err != nil {
			t.Errorf("with a set: %v", err)
		}
	})
}

// unusable are the ways in which an answer is no set, as an endpoint is made to give it.
func unusable() map[string]func(e *endpoint) {
	answer := func(status int, body string) func(*endpoint) { return func(e *endpoint) { e.fail(status, body) } }
	twice := ask(must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("a")}})), http.MethodGet, "").Body.String()
	return map[string]func(*endpoint){
		"500":            answer(http.StatusInternalServerError, `{"keys":[]}`),
		"204":            answer(http.StatusNoContent, ""),
		"redirect":       redirect,
		"HTML":           answer(http.StatusOK, "<html>"),
		"empty":          answer(http.StatusOK, ""),
		"empty object":   answer(http.StatusOK, `{}`),
		"null":           answer(http.StatusOK, `null`),
		"no keys":        answer(http.StatusOK, `{"keys":[]}`),
		"half an answer": answer(http.StatusOK, twice[:len(twice)/2]),
		"two of one id":  answer(http.StatusOK, strings.Replace(twice, "[{", "["+twice[9:len(twice)-2]+",{", 1)),
		"broken key": answer(http.StatusOK,
			`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"a","use":"sig","alg":"EdDSA"}]}`),
		"too long":  answer(http.StatusOK, strings.Repeat(" ", 100<<10)+twice),
		"no answer": (*endpoint).hang,
	}
}

// redirect makes e send clients to another host, where there is a set.
func redirect(e *endpoint) {
	evil := must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("a"), key("b")}}))
	e.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "evil.example" {
			evil.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, "https://evil.example/", http.StatusFound)
	}))
}

func TestGoodKeysOutliveFailedFetches(t *testing.T) {
	t.Parallel()
	for name, spoil := range unusable() {
		synctest.Test(t, func(t *testing.T) {
			e := &endpoint{}
			e.publish(key("a"))
			r := newRemote(t, e, func(cfg *jwks.RemoteConfig) { cfg.MaxStale = 15 * time.Minute })
			defer r.Close()
			if err := r.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			spoil(e)
			asked := e.asked.Load()
			time.Sleep(14 * time.Minute)
			if e.asked.Load() == asked {
				t.Error("nothing was fetched")
			}
			if _, err := r.Verify(t.Context(), sign(key("a"))); err != nil {
				t.Errorf("%s: a good key is gone: %v", name, err)
			}
			if _, err := r.Verify(t.Context(), sign(key("b"))); err == nil || errors.Is(err, authn.ErrTokenInvalid) {
				t.Errorf("%s: a key that may be new: %v, want that nobody knows", name, err)
			}
			time.Sleep(2 * time.Minute)
			if _, err := r.Verify(t.Context(), sign(key("a"))); err == nil || errors.Is(err, authn.ErrTokenInvalid) ||
				r.HasKey("a") {
				t.Errorf("%s: a set that is too old: %v, want that nobody knows", name, err)
			}
			e.publish(key("a"))
			time.Sleep(time.Minute)
			if _, err := r.Verify(t.Context(), sign(key("a"))); err != nil {
				t.Errorf("%s: when it is over: %v", name, err)
			}
		})
	}
}

func TestKeyThatIsTakenBackIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		e.publish(key("a"), key("b"))
		r := newRemote(t, e, nil)
		defer r.Close()
		cache := must(authn.NewCache(authn.CacheConfig{Verifier: r, TTL: time.Hour}))
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		old := sign(key("a"))
		if _, err := cache.Verify(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		e.publish(key("b"))
		time.Sleep(5*time.Minute + time.Second)
		for name, v := range map[string]middleware.Verifier{"remote": r, "cache": cache} {
			if _, err := v.Verify(t.Context(), old); !errors.Is(err, authn.ErrTokenInvalid) {
				t.Errorf("%s: a token of a key that is gone: %v", name, err)
			}
		}
	})
}

func TestOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer // written by one goroutine, read after its end
		e := &endpoint{}
		e.fail(http.StatusBadGateway, "")
		r := newRemote(t, e, func(cfg *jwks.RemoteConfig) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		time.Sleep(time.Hour)
		e.publish(key("a"))
		time.Sleep(time.Hour)
		r.Close()
		if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "502") {
			t.Errorf("log: %s", got)
		}
	})
}

func TestClosedRemoteWaitsForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		e.hang()
		r := newRemote(t, e, nil)
		ended := make(chan error, 2)
		go func() { _, err := r.Verify(context.Background(), sign(key("a"))); ended <- err }()
		go func() { ended <- r.Ready(context.Background()) }()
		synctest.Wait()
		r.Close()
		for range 2 {
			if err := <-ended; err == nil || errors.Is(err, authn.ErrTokenInvalid) {
				t.Errorf("after Close: %v", err)
			}
		}
		r.Close()
		time.Sleep(time.Hour)
		if _, err := r.Verify(t.Context(), sign(key("a"))); err == nil || e.asked.Load() != 1 {
			t.Errorf("long after Close: %v, %d fetches", err, e.asked.Load())
		}
	})
}

func TestNewRemoteReportsEveryViolation(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "https://", "/.well-known/jwks.json", "file:///etc/passwd", "ftp://a", "https://user:secret@a/", "://",
		"http://auth.example.com/", "http://10.0.0.1/", "http://localhost.example.com/", "http://127.0.0.1.example.com/",
	} {
		_, err := jwks.NewRemote(jwks.RemoteConfig{URL: address, Interval: 1, Cooldown: 2, MaxStale: -1})
		for _, field := range []string{"URL", "Issuer", "Audience", "Interval", "Cooldown", "MaxStale"} {
			if err == nil || !strings.Contains(err.Error(), "jwks: RemoteConfig."+field+": ") ||
				strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: %s is not reported: %v", address, field, err)
			}
		}
	}
	for _, address := range []string{
		"http://localhost:1/", "http://127.1.2.3:1/", "http://[::1]:1/",
		"http://10.0.0.1:1/",
	} {
		e := &endpoint{}
		e.publish(key("a"))
		r := newRemote(t, e, func(cfg *jwks.RemoteConfig) {
			cfg.URL, cfg.PlainHTTP = address, strings.Contains(address, "10.")
		})
		r.Close()
	}
}
