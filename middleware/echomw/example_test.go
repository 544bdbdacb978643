package echomw_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/middleware/echomw"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func Example() {
	m, resolver := newMiddleware()
	defer resolver.Close(context.Background())

	e := echo.New()
	tenants := e.Group("/t/:tenant", echomw.New(m))
	tenants.GET("/whoami", func(c echo.Context) error {
		lease := tenancy.MustFromContext(c.Request().Context())
		// lease.Pool() is the *pgxpool.Pool of this database:
		return c.String(http.StatusOK, lease.Pool().Config().ConnConfig.Database)
	})

	for _, path := range []string{"/t/acme/whoami", "/t/initech/whoami"} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 tenant_acme
	// 404 {"title":"Not Found","status":404}
}

// newMiddleware serves the tenants acme and globex, whose IDs are in the path.
func newMiddleware() (*middleware.Middleware, *tenancy.Resolver) {
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
	m, err := middleware.New(middleware.Config{
		Resolver: resolver,
		Public:   true, // or a Verifier for tokens
		Identify: middleware.FromPathValue("tenant"),
	})
	if err != nil {
		log.Fatal(err)
	}
	return m, resolver
}
