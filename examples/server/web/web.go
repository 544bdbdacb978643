package web

import (
	"embed"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/examples/server/api"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

//go:embed templates static
var files embed.FS

// Config is what the pages work with. Every field but Identify is required.
type Config struct {
	Accounts *accounts.Accounts
	Profiles accounts.Profiles
	Registry *registry.Registry
	Resolver *tenancy.Resolver
	Verifier middleware.Verifier
	Logger   *slog.Logger

	// Addr tells the address of a client, for attempts to be counted by; the zero one if it is not known.
	Addr func(r *http.Request) netip.Addr

	// Identify says which church a request addresses. Nil: the session alone decides.
	Identify middleware.Identifier
}

type site struct {
	cfg   Config
	pages map[string]*template.Template
	in    *middleware.Middleware // for browsers that are signed in by cookie
}

// Register adds the pages to mux.
func Register(mux api.Mux, cfg Config) error {
	s := &site{cfg: cfg, pages: map[string]*template.Template{}}
	for _, name := range []string{"landing", "signup", "signin", "church", "sessions", "message"} {
		page, err := template.ParseFS(files, "templates/base.html", "templates/"+name+".html")
		if err != nil {
			return err
		}
		s.pages[name] = page
	}
	var err error
	s.in, err = middleware.New(middleware.Config{
		Resolver: cfg.Resolver, Verifier: cfg.Verifier, Identify: cfg.Identify, Token: accessToken,
		ErrorHandler: s.refuse,
	})
	if err != nil {
		return err
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return err
	}
	s.routes(mux, http.FileServerFS(static))
	return nil
}

func (s *site) routes(mux api.Mux, static http.Handler) {
	open := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.protect(s.in.Identify(h))) }
	closed := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, s.protect(s.in.Identify(s.enter(s.in.Handler(h)))))
	}

	open("GET /{$}", s.landing)
	open("GET /signup", s.signUpForm)
	open("POST /signup", s.signUp)
	open("GET /signin", s.signInForm)
	open("POST /signin", s.signIn)
	open("POST /signout", s.signOut)
	closed("GET /account", s.account)
	closed("POST /account/sessions", s.endSessions)
	closed("GET /church", s.church)
	closed("POST /church/members", s.addMember)
	closed("POST /church/messages", s.addMessage)
	open("/", s.missing)
	mux.Handle("GET /static/{file}", s.protect(cache(http.StripPrefix("/static/", static)))) // one by one: no listing
}
