package grpcmw

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// Unary returns an interceptor that identifies, authenticates and leases, calls the handler, and releases the lease
// when it has returned or panicked. A refused call gets the error of [Code], without a text of ours. Calls of the
// services in except, such as "grpc.health.v1.Health", go to their handler without a tenant.
func Unary(m *middleware.Middleware, except ...string) grpc.UnaryServerInterceptor {
	except = slices.Clone(except)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if excepted(info.FullMethod, except) {
			return handler(ctx, req)
		}
		ctx, release, err := acquire(ctx, m, info.FullMethod)
		if err != nil {
			return nil, err
		}
		defer release()
		return handler(ctx, req)
	}
}

// Stream is [Unary] for streams: the lease is held until the handler returns.
func Stream(m *middleware.Middleware, except ...string) grpc.StreamServerInterceptor {
	except = slices.Clone(except)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if excepted(info.FullMethod, except) {
			return handler(srv, stream)
		}
		ctx, release, err := acquire(stream.Context(), m, info.FullMethod)
		if err != nil {
			return err
		}
		defer release()
		return handler(srv, leased{stream, ctx})
	}
}

// excepted reports whether a method, "/service/name", is of one of the services.
func excepted(method string, services []string) bool {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return slices.Contains(services, service)
}

// leased is a stream whose context carries the lease.
type leased struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // that is how a stream has one
}

// Context returns the context with the lease.
func (s leased) Context() context.Context { return s.ctx }

func acquire(ctx context.Context, m *middleware.Middleware, method string) (context.Context, func(), error) {
	r := request(ctx, method)
	held, lease, err := m.Acquire(r)
	if err != nil {
		m.Refused(r, err)
		code := Code(err)
		return nil, nil, status.Error(code, code.String())
	}
	return held, lease.Release, nil
}

// request shows a call as a request.
func request(ctx context.Context, method string) *http.Request {
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: method}, Header: http.Header{}, Proto: "HTTP/2.0", ProtoMajor: 2,
	}
	incoming, _ := metadata.FromIncomingContext(ctx)
	for name, values := range incoming {
		if name == ":authority" {
			if len(values) == 1 {
				r.Host = values[0]
			}
			continue
		}
		for _, value := range values {
			r.Header.Add(name, value)
		}
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		r.RemoteAddr = p.Addr.String()
	}
	return r.WithContext(ctx)
}

// Code returns the code for an error of package middleware, or of any other whose [middleware.StatusCode] is known.
func Code(err error) codes.Code { return codes.Code(middleware.GRPCCode(err)) }
