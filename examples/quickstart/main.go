package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func main() {
	// A map is directory enough; package registry keeps one in PostgreSQL.
	databases := map[tenancy.ID]string{"acme": "acme_db", "globex": "globex_db"}
	directory := tenancy.DirectoryFunc(func(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
		name, ok := databases[id]
		if !ok {
			return tenancy.Tenant{}, tenancy.ErrNotFound
		}
		return tenancy.Tenant{ID: id, State: tenancy.Active, Endpoint: tenancy.Endpoint{Database: name}}, nil
	})
	base, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	check(err)
	resolver, err := tenancy.New(tenancy.Config{Directory: directory, Base: base})
	check(err)
	tenants, err := middleware.New(middleware.Config{
		Resolver: resolver, Identify: middleware.FromPathValue("tenant"), Public: true,
	})
	check(err)
	http.Handle("GET /{tenant}/", tenants.Handler(http.HandlerFunc(hello)))
	server := &http.Server{Addr: cmp.Or(os.Getenv("ADDR"), "localhost:8080"), ReadHeaderTimeout: 5 * time.Second}
	check(server.ListenAndServe())
}

func hello(w http.ResponseWriter, r *http.Request) {
	lease := tenancy.MustFromContext(r.Context()) // there is one: the middleware has refused all else
	var name string
	err := lease.Pool().QueryRow(r.Context(), "SELECT current_database()").Scan(&name)
	if err != nil {
		http.Error(w, "no answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "hello from", name)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
