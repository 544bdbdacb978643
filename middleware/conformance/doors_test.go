package conformance_test

import (
	"context"
	"maps"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/middleware/connectmw"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ask calls "whoami" or "panic" at a server, for the tenant that the request addresses and with the token of another or
// the same; "" is no token. It returns HTTP's status, or what it would be, and whoami's answer; 0 for a broken
// connection.
type ask func(t *testing.T, method, address, token string) (status int, body string)

// door is a server as its clients see it.
type door struct {
	identify middleware.Identifier   // finds the address
	errors   middleware.ErrorHandler // nil: the default
	open     func(t *testing.T, m *middleware.Middleware) ask
}

// config configures a middleware for d.
func (d door) config(r *tenancy.Resolver) middleware.Config {
	return middleware.Config{Resolver: r, Identify: d.identify, ErrorHandler: d.errors}
}

// doors are all servers: the routers, gRPC and Connect.
func doors() map[string]door {
	all := map[string]door{}
	for name, start := range routers {
		all[name] = door{middleware.FromPathValue("tenant"), nil, func(t *testing.T, m *middleware.Middleware) ask {
			t.Helper()
			c := newClient(t, start(t, m))
			return func(t *testing.T, method, address, token string) (int, string) {
				t.Helper()
				return c.status(t, address+"/"+method, token)
			}
		}}
	}
	byHeader := middleware.FromAlias(byName{}, func(r *http.Request) string { return r.Header.Get("X-Tenant") })
	maps.Copy(all, map[string]door{
		"gRPC": {byHeader, nil, openGRPC}, "Connect": {byHeader, connectmw.ErrorHandler(), openConnect},
	})
	return all
}

// byName is an AliasResolver of tenants' own names.
type byName struct{}

func (byName) ResolveAlias(_ context.Context, alias string) (tenancy.ID, error) {
	return tenancy.ParseID(alias)
}

func openGRPC(t *testing.T, m *middleware.Middleware) ask {
	t.Helper()
	conn := startGRPC(t, m)
	return func(t *testing.T, method, address, token string) (int, string) {
		t.Helper()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant", address)
		if token != "" {
			ctx = withToken(ctx, token)
		}
		var answer wrapperspb.StringValue
		err := conn.Invoke(ctx, procedures[method], new(emptypb.Empty), &answer)
		return httpStatus(err), answer.GetValue()
	}
}

func openConnect(t *testing.T, m *middleware.Middleware) ask {
	t.Helper()
	server := startConnect(t, m)
	clients := map[string]*connect.Client[emptypb.Empty, wrapperspb.StringValue]{}
	for method, procedure := range procedures {
		clients[method] = connect.NewClient[emptypb.Empty, wrapperspb.StringValue](server.Client(), server.URL+procedure)
	}
	return func(t *testing.T, method, address, token string) (int, string) {
		t.Helper()
		req := connect.NewRequest(new(emptypb.Empty))
		req.Header().Set("X-Tenant", address)
		if token != "" {
			req.Header().Set("Authorization", "Bearer token-of-"+token)
		}
		answer, err := clients[method].CallUnary(t.Context(), req)
		if err != nil {
			return httpStatus(err), ""
		}
		return http.StatusOK, answer.Msg.GetValue()
	}
}
