package jwks_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
)

// One service signs tokens and publishes its keys; another one verifies them.
func Example() {
	ctx := context.Background()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	current, err := authn.NewEd25519Key("2026-11", private)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := authn.NewIssuer(authn.IssuerConfig{Key: current, Issuer: "https://auth.example.com", Audience: "api"})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{current}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/.well-known/jwks.json", handler)
	server := httptest.NewServer(mux)
	defer server.Close()

	remote, err := jwks.NewRemote(jwks.RemoteConfig{
		URL: server.URL + "/.well-known/jwks.json", Issuer: "https://auth.example.com", Audience: "api",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer remote.Close()
	verifier, err := authn.NewCache(authn.CacheConfig{Verifier: remote}) // for middleware.Config
	if err != nil {
		log.Fatal(err)
	}

	token, _, err := issuer.Issue(authn.Identity{Subject: "admin1", Tenant: "acme", Session: "s1"})
	if err != nil {
		log.Fatal(err)
	}
	id, err := verifier.Verify(ctx, token)
	fmt.Println(id.Subject, id.Tenant, id.KeyID, err)
	// Output: admin1 acme 2026-11 <nil>
}
