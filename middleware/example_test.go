package middleware_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func Example() {
	// The directory: here a function; usually a *registry.Registry.
	directory := tenancy.DirectoryFunc(func(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
		if id != "acme" && id != "globex" {
			return tenancy.Tenant{}, tenancy.ErrNotFound
		}
		endpoint := tenancy.Endpoint{Database: "tenant_" + id.String()}
		return tenancy.Tenant{ID: id, State: tenancy.Active, Endpoint: endpoint}, nil
	})
	base, err := pgxpool.ParseConfig("host=db.internal user=app sslmode=disable")
	if err != nil {
		log.Fatal(err)
	}
	resolver, err := tenancy.New(tenancy.Config{Directory: directory, Base: base})
	if err != nil {
		log.Fatal(err)
	}
	defer resolver.Close(context.Background())

	identify, err := middleware.FromSubdomain("example.com")
	if err != nil {
		log.Fatal(err)
	}
	issuer, verifier := keys()
	m, err := middleware.New(middleware.Config{
		Resolver: resolver,
		Verifier: verifier,
		Identify: identify,
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /members", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lease, _ := tenancy.FromContext(r.Context())
		// lease.Pool() is the *pgxpool.Pool of this database:
		fmt.Fprintln(w, lease.Pool().Config().ConnConfig.Database)
	})))

	token, _, err := issuer.Issue(authn.Identity{Subject: "ada", Tenant: "acme", Session: "s1"})
	if err != nil {
		log.Fatal(err)
	}
	for _, host := range []string{"acme.example.com", "globex.example.com", "nobody.example.com"} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+host+"/members", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(host, w.Code, w.Body)
	}
	// Output:
	// acme.example.com 200 tenant_acme
	//
	// globex.example.com 404 {"title":"Not Found","status":404}
	// nobody.example.com 404 {"title":"Not Found","status":404}
}

func keys() (*authn.Issuer, *authn.Verifier) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	key, err := authn.NewEd25519Key("2026-11", private)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := authn.NewIssuer(authn.IssuerConfig{Key: key, Issuer: "https://auth.example.com", Audience: "api"})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := authn.NewVerifier(authn.VerifierConfig{
		Keys: []authn.Key{key}, Issuer: "https://auth.example.com", Audience: "api",
	})
	if err != nil {
		log.Fatal(err)
	}
	return issuer, verifier
}
