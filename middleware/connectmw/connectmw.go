package connectmw

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// ErrorHandler returns an ErrorHandler that answers in the protocol of the client, with [Code]'s code for the error and
// no text of it. A request of no such protocol, a browser's, gets [middleware.WriteProblem]. opts are those of
// [connect.NewErrorWriter].
func ErrorHandler(opts ...connect.HandlerOption) middleware.ErrorHandler {
	writer := connect.NewErrorWriter(opts...)
	return func(w http.ResponseWriter, r *http.Request, err error) {
		if !writer.IsSupported(r) {
			middleware.WriteProblem(w, r, err)
			return
		}
		code := Code(err)
		_ = writer.Write(w, r, connect.NewError(code, errors.New(code.String()))) // the client may have gone
	}
}

// Code returns the code for an error of package middleware, or of any other whose [middleware.StatusCode] is known.
func Code(err error) connect.Code { return connect.Code(middleware.GRPCCode(err)) }
