// Command quickstart serves two tenants, each from a database of its own. The README shows main and hello.
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
	base, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	check(err)
	resolver, err := tenancy.New(tenancy.Config{Directory: tenancy.DirectoryFunc(find), Base: base})
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
	lease := tenancy.MustFromContext(r.Context()) // the middleware acquired it, and releases it
	var database string
	if err := lease.Pool().QueryRow(r.Context(), "SELECT current_database()").Scan(&database); err != nil {
		http.Error(w, "no answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "hello from", database)
}

// find is the directory: a map is enough here. Package registry keeps a directory in PostgreSQL.
func find(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	name, ok := map[tenancy.ID]string{"acme": "acme_db", "globex": "globex_db"}[id]
	if !ok {
		return tenancy.Tenant{}, tenancy.ErrNotFound
	}
	return tenancy.Tenant{ID: id, State: tenancy.Active, Endpoint: tenancy.Endpoint{Database: name}}, nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
