package conformance_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/middleware/connectmw"
	"github.com/pgtenancy/pgtenancy/middleware/grpcmw"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// service is what a generated file would describe: whoami, panics and stream.
var service = grpc.ServiceDesc{
	ServiceName: "conformance.Service",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "WhoAmI", Handler: unary("WhoAmI", func(ctx context.Context, _ any) (any, error) {
			name, err := whoami(ctx)
			return wrapperspb.String(name), err
		})},
	},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
		lease := tenancy.MustFromContext(s.Context())
		if err := s.SendMsg(wrapperspb.String("begun")); err != nil {
			return err
		}
		select {
		case <-lease.Done():
			return status.Error(grpcmw.Code(lease.Err()), "the tenant is gone")
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}}},
}

func unary(name string, handle grpc.UnaryHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(emptypb.Empty)
		if err := decode(in); err != nil {
			return nil, err
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/conformance.Service/" + name}
		return intercept(ctx, in, info, handle)
	}
}

func startGRPC(t *testing.T, m *middleware.Middleware) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(grpcmw.Unary(m)), grpc.StreamInterceptor(grpcmw.Stream(m)))
	s.RegisterService(&service, nil)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		<-done
	})
	return conn
}

func withToken(ctx context.Context, tenant string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer token-of-"+tenant)
}

func TestGRPCServesEachTenantFromItsDatabase(t *testing.T) {
	d := newDirectory(t, 3)
	d.set("tenant-2", tenancy.Suspended)
	r := d.resolver(t, 10)
	identify := middleware.FromAlias(byName{}, func(r *http.Request) string { return r.Header.Get("X-Tenant") })
	conn := startGRPC(t, newMiddleware(t, middleware.Config{Resolver: r, Identify: identify}))
	for _, c := range []struct {
		token, header string
		want          codes.Code
	}{
		{"tenant-0", "", codes.OK},
		{"tenant-1", "tenant-1", codes.OK},
		{"tenant-0", "tenant-1", codes.NotFound},
		{"nobody", "", codes.NotFound},
		{"", "", codes.Unauthenticated},
		{"tenant-2", "", codes.PermissionDenied},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant", c.header)
		if c.token != "" {
			ctx = withToken(ctx, c.token)
		}
		var got wrapperspb.StringValue
		err := conn.Invoke(ctx, "/conformance.Service/WhoAmI", new(emptypb.Empty), &got)
		if status.Code(err) != c.want || err == nil && got.GetValue() != d.database(tenancy.ID(c.token)) {
			t.Errorf("token %q, header %q: %q, %v; want %s", c.token, c.header, got.GetValue(), err, c.want)
		}
	}
	returned(t, r, 0)
}

// byName is an AliasResolver of tenants' own names.
type byName struct{}

func (byName) ResolveAlias(_ context.Context, alias string) (tenancy.ID, error) { return tenancy.ParseID(alias) }

func TestGRPCEndsAStreamWhenItsTenantIsSuspended(t *testing.T) {
	d := newDirectory(t, 1)
	r := d.resolver(t, 4)
	conn := startGRPC(t, newMiddleware(t, middleware.Config{Resolver: r}))
	desc := &grpc.StreamDesc{ServerStreams: true}
	for _, end := range []string{"client", "suspension"} {
		ctx, cancel := context.WithCancel(withToken(t.Context(), "tenant-0"))
		defer cancel()
		s, err := conn.NewStream(ctx, desc, "/conformance.Service/Stream")
		if err == nil {
			err = errors.Join(s.SendMsg(new(emptypb.Empty)), s.CloseSend())
		}
		if err != nil {
			t.Fatal(err)
		}
		var got wrapperspb.StringValue
		if err := s.RecvMsg(&got); err != nil || got.GetValue() != "begun" {
			t.Fatalf("%q, %v", got.GetValue(), err)
		}
		want := codes.Canceled
		if end == "client" {
			cancel()
		} else {
			want = codes.PermissionDenied
			r.Invalidate("tenant-0", d.set("tenant-0", tenancy.Suspended))
		}
		if err := s.RecvMsg(&got); status.Code(err) != want {
			t.Errorf("%s: %v, want %s", end, err, want)
		}
		returned(t, r, 0)
	}
}

func TestConnectClientsGetTheirOwnCodes(t *testing.T) {
	d := newDirectory(t, 2)
	d.set("tenant-1", tenancy.Suspended)
	r := d.resolver(t, 4)
	m := newMiddleware(t, middleware.Config{Resolver: r, ErrorHandler: connectmw.ErrorHandler()})
	const procedure = "/conformance.Service/WhoAmI"
	h := connect.NewUnaryHandler(procedure,
		func(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[wrapperspb.StringValue], error) {
			name, err := whoami(ctx)
			return connect.NewResponse(wrapperspb.String(name)), err
		})
	mux := http.NewServeMux()
	mux.Handle(procedure, m.Handler(h))
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	for protocol, opts := range map[string][]connect.ClientOption{
		"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
	} {
		client := connect.NewClient[emptypb.Empty, wrapperspb.StringValue](server.Client(), server.URL+procedure, opts...)
		for token, want := range map[string]connect.Code{
			"tenant-0": 0, "tenant-1": connect.CodePermissionDenied, "nobody": connect.CodeNotFound,
		} {
			req := connect.NewRequest(new(emptypb.Empty))
			req.Header().Set("Authorization", "Bearer token-of-"+token)
			got, err := client.CallUnary(t.Context(), req)
			switch {
			case want == 0 && (err != nil || got.Msg.GetValue() != d.database("tenant-0")):
				t.Errorf("%s, %s: %v", protocol, token, err)
			case want != 0 && connect.CodeOf(err) != want:
				t.Errorf("%s, %s: %v, want %s", protocol, token, err, want)
			}
		}
	}
	returned(t, r, 0)
}
