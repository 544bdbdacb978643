// Package grpcmw puts package middleware into a gRPC server.
//
//	server := grpc.NewServer(
//		grpc.UnaryInterceptor(grpcmw.Unary(m)),
//		grpc.StreamInterceptor(grpcmw.Stream(m)),
//	)
//
// A call is shown to the middleware as a request: its metadata as headers, its :authority as the Host, its peer as the
// RemoteAddr and its method as the path. So the token is in the metadata "authorization: Bearer …", and the tenant may
// be named by FromSubdomain, FromHost, FromTrustedHeader or the token. The lease and the identity are in the context
// of the call, and the lease is released when the handler returns. A stream that goes on for long should select on
// [tenancy.Lease.Done]: it is closed when the tenant is suspended.
package grpcmw
