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
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/middleware/connectmw"
	"github.com/pgtenancy/pgtenancy/middleware/grpcmw"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// procedures are the names of the methods in gRPC and Connect.
var procedures = map[string]string{"whoami": "/conformance.Service/WhoAmI", "panic": "/conformance.Service/Panic"}

// service is what a generated file would describe: whoami, panics and stream.
var service = grpc.ServiceDesc{
	ServiceName: "conformance.Service",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "WhoAmI", Handler: unary("WhoAmI", func(ctx context.Context, _ any) (any, error) {
			name, err := whoami(ctx)
			return wrapperspb.String(name), err
		})},
		{MethodName: "Panic", Handler: unary("Panic", func(context.Context, any) (any, error) { panic("a handler's") })},
	},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, Handler: stream}},
}

// stream sends one message, and ends with the lease or the client.
func stream(_ any, s grpc.ServerStream) error {
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

// recovered turns panics into errors, as every gRPC server needs.
func recovered(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if recover() != nil {
			err = status.Error(codes.Internal, "panic")
		}
	}()
	return next(ctx, req)
}

func startGRPC(t *testing.T, m *middleware.Middleware) *grpc.ClientConn {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(
		grpc.ChainUnaryInterceptor(recovered, grpcmw.Unary(m, "grpc.health.v1.Health")),
		grpc.ChainStreamInterceptor(grpcmw.Stream(m, "grpc.health.v1.Health")),
	)
	s.RegisterService(&service, nil)
	healthpb.RegisterHealthServer(s, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		<-done //nolint:errcheck // the end of serving is an error for some
	})
	return conn
}

func withToken(ctx context.Context, tenant string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer token-of-"+tenant)
}

// httpStatus returns HTTP's status for the code of an error of gRPC or Connect; 0 for a broken connection.
func httpStatus(err error) int {
	code := status.Code(err)
	if fromConnect := new(connect.Error); errors.As(err, &fromConnect) {
		code = codes.Code(fromConnect.Code())
	}
	return map[codes.Code]int{
		codes.OK: http.StatusOK, codes.Unauthenticated: http.StatusUnauthorized, codes.PermissionDenied: http.StatusForbidden,
		codes.NotFound: http.StatusNotFound, codes.Unavailable: http.StatusServiceUnavailable,
		codes.Internal: http.StatusInternalServerError,
	}[code]
}

// A health check names no tenant and has no token.
func TestGRPCServesServicesThatNeedNoTenant(t *testing.T) {
	d := newDirectory(t, 0)
	conn := startGRPC(t, newMiddleware(t, middleware.Config{Resolver: d.resolver(t, 1)}))
	client := healthpb.NewHealthClient(conn)
	answer, err := client.Check(t.Context(), new(healthpb.HealthCheckRequest))
	if err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", answer, err)
	}
	stream, err := client.Watch(t.Context(), new(healthpb.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Error(err)
	}
}

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

// startConnect starts a server of Connect, gRPC and gRPC-Web.
func startConnect(t *testing.T, m *middleware.Middleware) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for _, method := range service.Methods {
		procedure := "/" + service.ServiceName + "/" + method.MethodName
		h := connect.NewUnaryHandler(procedure,
			func(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[wrapperspb.StringValue], error) {
				if procedure == procedures["panic"] {
					panic("a handler's")
				}
				name, err := whoami(ctx)
				return connect.NewResponse(wrapperspb.String(name)), err
			})
		mux.Handle(procedure, m.Handler(h))
	}
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = discard()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestConnectClientsGetTheirOwnCodes(t *testing.T) {
	d := newDirectory(t, 2)
	d.set("tenant-1", tenancy.Suspended)
	r := d.resolver(t, 4)
	m := newMiddleware(t, middleware.Config{Resolver: r, ErrorHandler: connectmw.ErrorHandler()})
	server := startConnect(t, m)
	for protocol, opts := range map[string][]connect.ClientOption{
		"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
	} {
		client := connect.NewClient[emptypb.Empty, wrapperspb.StringValue](
			server.Client(), server.URL+procedures["whoami"], opts...)
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
