package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
)

func TestBearerTokenIsReadAsRFC6750Says(t *testing.T) {
	t.Parallel()
	h := newMiddleware(t, middleware.Config{}).Handler(http.HandlerFunc(served))
	good := token(t, "acme")
	const missing, invalid = "Bearer", `Bearer error="invalid_token"`
	for name, c := range map[string]struct {
		headers   []string
		challenge string // "" means accepted
	}{
		"as usual":             {[]string{"Bearer " + good}, ""},
		"lower case":           {[]string{"bearer " + good}, ""},
		"mixed case":           {[]string{"bEaReR " + good}, ""},
		"several spaces":       {[]string{"Bearer   " + good}, ""},
		"no header":            {nil, missing},
		"empty":                {[]string{""}, missing},
		"scheme alone":         {[]string{"Bearer"}, missing},
		"scheme and a space":   {[]string{"Bearer "}, missing},
		"another scheme":       {[]string{"Basic YWRtaW46c2VjcmV0"}, missing},
		"no scheme":            {[]string{good}, missing},
		"glued":                {[]string{"Bearer" + good}, missing},
		"colon":                {[]string{"Bearer: " + good}, missing},
		"tab":                  {[]string{"Bearer\t" + good}, missing},
		"two tokens":           {[]string{"Bearer " + good + " " + good}, invalid},
		"two with a comma":     {[]string{"Bearer " + good + "," + good}, invalid},
		"trailing space":       {[]string{"Bearer " + good + " "}, invalid},
		"two headers":          {[]string{"Bearer " + good, "Bearer " + good}, invalid},
		"two schemes":          {[]string{"Basic YWRtaW46c2VjcmV0", "Bearer " + good}, invalid},
		"quoted":               {[]string{`Bearer "` + good + `"`}, invalid},
		"no token":             {[]string{"Bearer null"}, invalid},
		"token of another key": {[]string{"Bearer " + good[:len(good)-8] + "AAAAAAAA"}, invalid},
		"a megabyte":           {[]string{"Bearer " + strings.Repeat("A", 1<<20)}, invalid},
	} {
		r := request(t, "acme.example.com", "")
		r.Header["Authorization"] = c.headers
		w := serve(h, r)
		if got := w.Header().Get("WWW-Authenticate"); got != c.challenge {
			t.Errorf("%s: challenge %q, want %q", name, got, c.challenge)
		}
		if want := http.StatusUnauthorized; c.challenge != "" && w.Code != want {
			t.Errorf("%s: %d, want %d", name, w.Code, want)
		}
		if c.challenge == "" && w.Body.String() != "tenant acme" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestTokenMayComeFromElsewhere(t *testing.T) {
	t.Parallel()
	h := newMiddleware(t, middleware.Config{Token: func(r *http.Request) string {
		cookie, err := r.Cookie("access")
		if err != nil {
			return ""
		}
		return cookie.Value
	}}).Handler(http.HandlerFunc(served))
	r := request(t, "acme.example.com", "acme") // its Authorization header must not count
	if w := serve(h, r); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("without the cookie: %d %q", w.Code, w.Header())
	}
	r.AddCookie(&http.Cookie{Name: "access", Value: token(t, "acme")})
	if w := serve(h, r); w.Body.String() != "tenant acme" {
		t.Errorf("with the cookie: %d %s", w.Code, w.Body)
	}
}

type verifierFunc func(ctx context.Context, raw string) (*authn.Identity, error)

func (f verifierFunc) Verify(ctx context.Context, raw string) (*authn.Identity, error) {
	return f(ctx, raw)
}

func TestVerifierThatCannotSayIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		id   *authn.Identity
		err  error
		want int
	}{
		"expired":          {nil, authn.ErrTokenExpired, http.StatusUnauthorized},
		"no key server":    {nil, errors.New("dial tcp 10.0.0.1:443"), http.StatusServiceUnavailable},
		"neither":          {nil, nil, http.StatusUnauthorized},
		"no tenant at all": {&authn.Identity{Subject: "admin1"}, nil, http.StatusUnauthorized},
		"identity":         {&authn.Identity{Subject: "admin1", Tenant: "acme"}, nil, http.StatusOK},
	} {
		verifier := verifierFunc(func(context.Context, string) (*authn.Identity, error) { return c.id, c.err })
		h := newMiddleware(t, middleware.Config{Verifier: verifier}).Handler(http.HandlerFunc(served))
		if w := serve(h, request(t, "acme.example.com", "acme")); w.Code != c.want ||
			strings.Contains(w.Body.String(), "dial") {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.want)
		} else if c.want == http.StatusUnauthorized &&
			!strings.Contains(w.Header().Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%s: the client is not told that its token is no good", name)
		}
	}
}

func TestHandlerFindsTheIdentity(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, middleware.Config{})
	serve(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if id, ok := authn.FromContext(r.Context()); !ok || id.Subject != "admin1" || id.Tenant != "acme" {
			t.Errorf("identity %+v, %v", id, ok)
		}
	})), request(t, "acme.example.com", "acme"))
}
