package connectmw_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/middleware/connectmw"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

type (
	request = connect.Request[emptypb.Empty]
	answer  = connect.Response[wrapperspb.StringValue]
)

func whoami(ctx context.Context, _ *request) (*answer, error) {
	lease := tenancy.MustFromContext(ctx)
	// lease.Pool() is the *pgxpool.Pool of this database:
	return connect.NewResponse(wrapperspb.String(lease.Pool().Config().ConnConfig.Database)), nil
}

func ExampleErrorHandler() {
	m, resolver := newMiddleware()
	defer resolver.Close(context.Background())

	// A generated constructor returns such a path and handler.
	path := "/example.Service/WhoAmI"
	mux := http.NewServeMux()
	mux.Handle(path, m.Handler(connect.NewUnaryHandler(path, whoami)))
	server := httptest.NewServer(mux)
	defer server.Close()

	client := connect.NewClient[emptypb.Empty, wrapperspb.StringValue](server.Client(), server.URL+path)
	for _, tenant := range []string{"acme", "initech"} {
		req := connect.NewRequest(new(emptypb.Empty))
		req.Header().Set("Authorization", "Bearer token-of-"+tenant)
		res, err := client.CallUnary(context.Background(), req)
		if err != nil {
			fmt.Println(connect.CodeOf(err))
			continue
		}
		fmt.Println(res.Msg.GetValue())
	}
	// Output:
	// tenant_acme
	// not_found
}

// tokens verifies "token-of-<tenant>"; a service has an *authn.Verifier.
type tokens struct{}

func (tokens) Verify(_ context.Context, raw string) (*authn.Identity, error) {
	tenant, ok := strings.CutPrefix(raw, "token-of-")
	if !ok {
		return nil, authn.ErrTokenInvalid
	}
	return &authn.Identity{Subject: "ada", Tenant: tenant}, nil
}

// newMiddleware serves the tenants acme and globex.
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
		Resolver:     resolver,
		Verifier:     tokens{},
		ErrorHandler: connectmw.ErrorHandler(),
	})
	if err != nil {
		log.Fatal(err)
	}
	return m, resolver
}
