package grpcmw_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/middleware/grpcmw"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// service stands for a generated one: it has the methods of gRPC's health service.
type service struct {
	healthpb.UnimplementedHealthServer
}

func (service) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	lease := tenancy.MustFromContext(ctx)
	// lease.Pool() is the *pgxpool.Pool of this database:
	fmt.Println(lease.Pool().Config().ConnConfig.Database)
	return new(healthpb.HealthCheckResponse), nil
}

func Example() {
	m, resolver := newMiddleware()
	defer resolver.Close(context.Background())

	server := grpc.NewServer(grpc.UnaryInterceptor(grpcmw.Unary(m)), grpc.StreamInterceptor(grpcmw.Stream(m)))
	healthpb.RegisterHealthServer(server, service{})
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // until Stop
	defer server.Stop()

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	for _, tenant := range []string{"acme", "initech"} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer token-of-"+tenant)
		_, err := healthpb.NewHealthClient(conn).Check(ctx, new(healthpb.HealthCheckRequest))
		fmt.Println(status.Code(err))
	}
	// Output:
	// tenant_acme
	// OK
	// NotFound
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
	m, err := middleware.New(middleware.Config{Resolver: resolver, Verifier: tokens{}})
	if err != nil {
		log.Fatal(err)
	}
	return m, resolver
}
