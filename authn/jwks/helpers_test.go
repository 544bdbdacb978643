package jwks_test

import (
	"crypto/ed25519"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
)

const (
	issuerName = "https://auth.example.com"
	audience   = "api"
	address    = "https://auth.example.com/.well-known/jwks.json"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func private(id string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte((id + strings.Repeat(".", ed25519.SeedSize))[:ed25519.SeedSize]))
}

// key returns the one key with this id.
func key(id string) authn.Key { return must(authn.NewEd25519Key(id, private(id))) }

func hmacKey(id string) authn.Key { return must(authn.NewHMACKey(id, private(id))) }

func newIssuer(k authn.Key) *authn.Issuer {
	return must(authn.NewIssuer(authn.IssuerConfig{Key: k, Issuer: issuerName, Audience: audience}))
}

// sign returns a token that is signed with k.
func sign(k authn.Key) string {
	token, _, err := newIssuer(k).Issue(authn.Identity{Subject: "admin1", Tenant: "acme", Session: "session1"})
	return must(token, err)
}

// endpoint is a service that publishes keys, reached without a network, so that it works in a synctest bubble.
type endpoint struct {
	asked  atomic.Int64
	answer atomic.Pointer[http.Handler]
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	e.asked.Add(1)
	w := httptest.NewRecorder()
	(*e.answer.Load()).ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	res := w.Result()
	res.Request = r
	return res, nil
}

// serve makes e answer with h from now on.
func (e *endpoint) serve(h http.Handler) { e.answer.Store(&h) }

// publish makes e answer with the set of these keys from now on.
func (e *endpoint) publish(keys ...authn.Key) {
	e.serve(must(jwks.NewHandler(jwks.HandlerConfig{Keys: keys})))
}

// fail makes e answer with this status and body from now on.
func (e *endpoint) fail(status int, body string) {
	e.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
}

// hang makes e answer nothing from now on.
func (e *endpoint) hang() {
	e.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
}

// newRemote returns a Remote that asks e. The caller must close it.
func newRemote(t testing.TB, e *endpoint, change func(*jwks.RemoteConfig)) *jwks.Remote {
	t.Helper()
	cfg := jwks.RemoteConfig{URL: address, Issuer: issuerName, Audience: audience, Client: &http.Client{Transport: e}}
	if change != nil {
		change(&cfg)
	}
	r, err := jwks.NewRemote(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
