package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Verifier turns a raw token into an identity; *[authn.Verifier] is one.
//
// Verify returns an error that matches authn.ErrTokenMissing, ErrTokenExpired or ErrTokenInvalid if and only if the
// token is certainly not valid: the client gets 401 then. Any other error means that Verify has no answer. ctx is the
// request's.
type Verifier interface {
	Verify(ctx context.Context, raw string) (*authn.Identity, error)
}

// ErrorHandler answers a request that a middleware refused with err. Use [StatusCode] for the status, and keep err's
// text from the client. See [WriteProblem] on clients that have gone.
type ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)

// Config configures a [Middleware]. Resolver is required, and so is Verifier, unless Public is set.
type Config struct {
	// Resolver leases the pools.
	Resolver *tenancy.Resolver

	// Verifier verifies the tokens.
	Verifier Verifier

	// Identify says which tenant a request addresses, for comparison with its token's. Default: the token alone
	// decides.
	Identify Identifier

	// Public leases the pool of the tenant that a request addresses, without a token: for sign-in pages and public
	// sites. It needs Identify, and no Verifier. Use one Middleware with it and another one without.
	Public bool

	// Token returns the token of a request, or "" if it has none. Default: the one in "Authorization: Bearer" (RFC
	// 6750); several Authorization headers are refused. A token in a cookie needs protection against cross-site
	// requests, see net/http.CrossOriginProtection; one in the URL ends up in logs.
	Token func(r *http.Request) string

	// TokenAliases says that the tenant in a token is an alias, as in tokens of a service that gives organizations ids of
	// its own ("org_2abcDEF"). A tenant that is no alias makes the token invalid. Default: it is the tenant's ID.
	TokenAliases AliasResolver

	// BodyFirst makes Handler and Tenant read the body of a request, up to BodyFirst bytes, before they acquire the
	// lease, and keep it in memory until the handler returns. A larger body is refused with ErrBodyTooLarge, 413. Set
	// it unless your handlers stream: otherwise a client that sends its body slowly holds its tenant's pool, and as
	// many such clients as [tenancy.Config.MaxPools] block all other tenants. Bound the time too, by
	// [http.Server.ReadTimeout]. Default: the handler reads the body.
	BodyFirst int64

	// ErrorHandler answers requests that are refused. Default: WriteProblem.
	ErrorHandler ErrorHandler

	// Logger logs every refused request with its cause: at level Warn if the server is to blame, or a token was used
	// for another tenant, at Debug if the client has gone, and else at Info. Default: none, except that an Identifier
	// that does not fit its route (ErrMiswired) is logged to [slog.Default].
	Logger *slog.Logger
}

// Middleware identifies, authenticates and leases. Its methods have the shape func(http.Handler) http.Handler, which
// most routers take. It is safe for concurrent use.
type Middleware struct {
	cfg      Config
	miswired sync.Once // an Identifier that can never work is logged once
}

// New returns a middleware, or every violation of cfg at once.
func New(cfg Config) (*Middleware, error) {
	var errs []error
	refuse := func(s string) { errs = append(errs, errors.New("middleware: Config."+s)) }
	if cfg.Resolver == nil {
		refuse("Resolver: required")
	}
	switch {
	case !cfg.Public && cfg.Verifier == nil:
		refuse("Verifier: required, unless Public is set")
	case cfg.Public && cfg.Verifier != nil:
		refuse("Verifier: must not be set with Public")
	}
	if cfg.BodyFirst < 0 {
		refuse("BodyFirst: must not be negative")
	}
	if cfg.Public && cfg.Identify == nil {
		refuse("Identify: required with Public")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if cfg.ErrorHandler == nil {
		cfg.ErrorHandler = WriteProblem
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Middleware{cfg: cfg}, nil
}

// refuse answers r with err.
func (m *Middleware) refuse(w http.ResponseWriter, r *http.Request, err error) {
	m.logRefusal(r, err)
	m.cfg.ErrorHandler(w, r, err)
}

func (m *Middleware) logRefusal(r *http.Request, err error) {
	status := StatusCode(err)
	level := slog.LevelInfo
	switch {
	case gone(r, err):
		level = slog.LevelDebug
	case status >= http.StatusInternalServerError, errors.Is(err, ErrTenantMismatch):
		level = slog.LevelWarn
	}
	m.cfg.Logger.LogAttrs(r.Context(), level, "request refused",
		slog.Int("status", status), slog.String("method", strings.Clone(r.Method)), slog.Any("error", err))
}

// wiringLog is for faults in the program, which must be seen even where refusals are not logged.
func (m *Middleware) wiringLog() *slog.Logger {
	if m.cfg.Logger.Handler() == slog.DiscardHandler {
		return slog.Default()
	}
	return m.cfg.Logger
}
