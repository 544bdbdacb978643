// Package connectmw lets package middleware answer clients of Connect, gRPC and gRPC-Web.
//
// A service of connect-go is an [http.Handler], so the middleware goes around it as around any other:
//
//	m, err := middleware.New(middleware.Config{…, ErrorHandler: connectmw.ErrorHandler()})
//	mux.Handle(path, m.Handler(service))
//
// Without this ErrorHandler a refused request is answered with a problem (RFC 9457), which these clients take for the
// code Unimplemented or Unknown. Set no BodyFirst where a client sends a stream.
package connectmw
