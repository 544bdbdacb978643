package api

import (
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/examples/server/church"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

// Config is what the API works with. Every field but Progress is required. Middleware should have BodyFirst, MaxBody:
// the handlers with a lease read bodies.
type Config struct {
	Accounts    *accounts.Accounts
	Profiles    accounts.Profiles
	Registry    *registry.Registry
	Provisioner *provision.Provisioner
	Middleware  *middleware.Middleware
	Logger      *slog.Logger

	// Addr tells the address of a client, for attempts to be counted by; the zero one if it is not known.
	Addr func(r *http.Request) netip.Addr

	// Progress is called when each step of a sign-up begins. It may be nil.
	Progress func(r *http.Request, step string)
}

// Mux is where routes are mounted; *http.ServeMux is one.
type Mux interface {
	Handle(pattern string, h http.Handler)
}

// Register adds the API's routes to mux.
func Register(mux Mux, cfg Config) {
	a := &api{cfg: cfg, sites: http.NewCrossOriginProtection()}
	a.sites.SetDenyHandler(a.answer(func(http.ResponseWriter, *http.Request) error { return errCrossSite }))
	mux.Handle("POST /api/auth/register", a.open(a.register))
	mux.Handle("POST /api/auth/login", a.open(a.login))
	mux.Handle("POST /api/auth/refresh", a.open(a.refresh))
	mux.Handle("POST /api/auth/logout", a.signedIn(a.logout))
	mux.Handle("GET /api/me", a.leased(a.me))
	mux.Handle("POST /api/me/password", a.signedIn(a.changePassword))
	mux.Handle("GET /api/me/sessions", a.leased(a.listSessions))
	mux.Handle("DELETE /api/me/sessions", a.signedIn(a.endSessions(a.cfg.Accounts.SignOutEverywhere)))
	mux.Handle("DELETE /api/me/sessions/others", a.signedIn(a.endSessions(a.cfg.Accounts.SignOutElsewhere)))
	mux.Handle("DELETE /api/me/sessions/{id}", a.signedIn(a.endSession))
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

type api struct {
	cfg   Config
	sites *http.CrossOriginProtection
}

// handler is a handler whose error is answered with a problem.
type handler func(w http.ResponseWriter, r *http.Request) error

// answer makes a handler of h. What it answers is for the client alone, and of the type that it says.
func (a *api) answer(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := h(w, r); err != nil {
			a.problem(w, r, err)
		}
	})
}

// open makes a handler for everyone. Like the others it refuses what another site has a browser send: no cookie means
// anything here, but a sign-up makes a database, and visitors of a hostile page are many.
func (a *api) open(h handler) http.Handler {
	return a.sites.Handler(a.cfg.Middleware.Identify(a.answer(h)))
}

// signedIn makes a handler for signed-in admins.
func (a *api) signedIn(h handler) http.Handler {
	return a.sites.Handler(a.cfg.Middleware.Authenticate(a.answer(h)))
}

// leased makes a handler that runs with a lease of the caller's own database.
func (a *api) leased(h handler) http.Handler {
	return a.sites.Handler(a.cfg.Middleware.Handler(a.answer(h)))
}
