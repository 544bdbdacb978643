package api

import (
	"log/slog"
	"net/http"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/examples/server/church"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

// Config is what the API works with. Every field but Progress is required.
type Config struct {
	Accounts    *accounts.Accounts
	Profiles    accounts.Profiles
	Registry    *registry.Registry
	Provisioner *provision.Provisioner
	Middleware  *middleware.Middleware
	Logger      *slog.Logger

	// Progress is told when each step of a sign-up begins. Nil: no one is.
	Progress func(r *http.Request, step string)
}

// Register adds the API's routes to mux.
func Register(mux *http.ServeMux, cfg Config) {
	a := &api{cfg}
	mux.Handle("POST /api/auth/register", a.open(a.register))
	mux.Handle("POST /api/auth/login", a.open(a.login))
	mux.Handle("POST /api/auth/refresh", a.open(a.refresh))
	mux.Handle("POST /api/auth/logout", a.signedIn(a.logout))
	mux.Handle("GET /api/me", a.leased(a.me))
	mux.Handle("POST /api/me/password", a.signedIn(a.changePassword))
	mux.Handle("GET /api/tenant", a.leased(tenant))
	mux.Handle("DELETE /api/church", a.signedIn(a.deleteChurch))
	mux.Handle("/api/", a.open(func(http.ResponseWriter, *http.Request) error { return errNoRoute }))

	messages, conversations := church.NewMessages(), church.NewConversations()
	resource(a, mux, "/api/members", church.NewMembers())
	resource(a, mux, "/api/branches", church.NewBranches())
	resource(a, mux, "/api/messages", messages)
	resource(a, mux, "/api/conversations", conversations)
	resource(a, mux, "/api/templates", church.NewTemplates())
	resource(a, mux, "/api/recurring", church.NewRecurringMessages())
	resource(a, mux, "/api/subscriptions", church.NewSubscriptions())

	mux.Handle("GET /api/messages/{id}/recipients", a.leased(list(under(messages.Recipients))))
	mux.Handle("GET /api/conversations/{id}/messages", a.leased(list(under(conversations.Sayings))))
	mux.Handle("POST /api/conversations/{id}/messages", a.leased(say(conversations)))
}

type api struct{ cfg Config }

// handler is a handler whose error is answered with a problem.
type handler func(w http.ResponseWriter, r *http.Request) error

// open makes a handler for everyone.
func (a *api) open(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if err := h(w, r); err != nil {
			a.problem(w, r, err)
		}
	})
}

// signedIn makes a handler for who is signed in.
func (a *api) signedIn(h handler) http.Handler { return a.cfg.Middleware.Authenticate(a.open(h)) }

// leased makes a handler that runs with a lease of the caller's own database.
func (a *api) leased(h handler) http.Handler { return a.cfg.Middleware.Handler(a.open(h)) }
