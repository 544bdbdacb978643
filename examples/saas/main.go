// Command saas is a service for organizations in one file: each has a subdomain and a database of its own, and its
// people have cookies that the service signs itself.
package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	schema, err := atlas.SQL(atlas.Config{Text: "CREATE TABLE notes (text text NOT NULL)"})
	check(err)
	f, err := fleet.Open(ctx, fleet.Config{
		Registry: os.Getenv("REGISTRY_URL"), KeysFile: os.Getenv("KEYS_FILE"),
		Servers: []fleet.Server{{Name: "main", Admin: os.Getenv("ADMIN_URL"), MaxConns: 80}},
		Schema:  schema, Logger: slog.Default(),
	})
	check(err)
	subdomain, err := middleware.FromSubdomain("localhost")
	check(err)
	key := sessions(os.Getenv("SESSION_KEY"))
	tenants, err := middleware.New(middleware.Config{
		Resolver: f.Resolver(), Identify: subdomain, Verifier: key, Token: token, BodyFirst: 1 << 20,
	})
	check(err)
	http.Handle("GET /readyz", f.ReadyHandler())
	http.Handle("/notes", tenants.Handler(http.HandlerFunc(notes)))
	http.HandleFunc("POST /signup", func(w http.ResponseWriter, r *http.Request) {
		id, err := subdomain(r)
		if err == nil {
			_, err = f.Provisioner().Create(r.Context(), provision.Request{ID: id})
		}
		if err != nil {
			middleware.WriteProblem(w, r, err) // 409 if the name is taken
			return
		}
		http.SetCookie(w, key.cookie(authn.Identity{Tenant: string(id), Subject: r.PostFormValue("person")}))
	})
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", cmp.Or(os.Getenv("ADDR"), "localhost:8080"))
	check(err)
	handler := http.NewCrossOriginProtection().Handler(http.DefaultServeMux)
	check(f.Serve(ctx, &http.Server{Handler: handler, ReadTimeout: time.Minute}, ln)) // until ctx ends
}

// notes adds a note, if the request has one, and lists all.
func notes(w http.ResponseWriter, r *http.Request) {
	pool := tenancy.MustFromContext(r.Context()).Pool() // of this tenant's database
	_, err := pool.Exec(r.Context(), "INSERT INTO notes SELECT $1::text WHERE $1 <> ''", r.PostFormValue("text"))
	var all string
	if err == nil {
		err = pool.QueryRow(r.Context(), "SELECT coalesce(string_agg(text, ', '), 'none') FROM notes").Scan(&all)
	}
	if err != nil {
		middleware.WriteProblem(w, r, err)
		return
	}
	fmt.Fprintln(w, all)
}

type sessions string // the key that signs the cookies, and a middleware.Verifier

func (s sessions) sign(text string) string {
	mac := hmac.New(sha256.New, []byte(s))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s sessions) cookie(id authn.Identity) *http.Cookie {
	id.ExpiresAt = time.Now().Add(12 * time.Hour)
	text, _ := json.Marshal(id) // it has strings and a time
	v, lax := s.sign(base64.RawURLEncoding.EncodeToString(text)), http.SameSiteLaxMode
	return &http.Cookie{Name: "session", Value: v, Path: "/", HttpOnly: true, Secure: true, SameSite: lax}
}

func (s sessions) Verify(_ context.Context, raw string) (id *authn.Identity, err error) {
	text, _, _ := strings.Cut(raw, ".")
	if !hmac.Equal([]byte(raw), []byte(s.sign(text))) {
		return nil, authn.ErrTokenInvalid
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err = errors.Join(err, json.Unmarshal(data, &id)); err == nil && time.Now().After(id.ExpiresAt) {
		err = authn.ErrTokenExpired
	}
	return id, err
}

func token(r *http.Request) string {
	c, _ := r.Cookie("session")
	return cmp.Or(c, new(http.Cookie)).Value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
