package web

import (
	"context"
	"net/http"
	"time"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// The prefix __Host- makes a browser refuse the cookie unless it is Secure, for this host alone and for all paths.
// Browsers take http://localhost for secure.
const (
	accessCookie  = "__Host-access"
	refreshCookie = "__Host-refresh"
)

const refreshAge = 30 * 24 * time.Hour

func setCookies(w http.ResponseWriter, s *accounts.Session) {
	setCookie(w, accessCookie, s.AccessToken.Reveal(), s.ExpiresIn)
	setCookie(w, refreshCookie, s.RefreshToken.Reveal(), refreshAge)
}

func clearCookies(w http.ResponseWriter) {
	setCookie(w, accessCookie, "", -time.Second)
	setCookie(w, refreshCookie, "", -time.Second)
}

func setCookie(w http.ResponseWriter, name, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(age / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

type tokenKey struct{}

// accessToken returns the token that enter has put into the request, or else the cookie's.
func accessToken(r *http.Request) string {
	if token, ok := r.Context().Value(tokenKey{}).(string); ok {
		return token
	}
	return cookie(r, accessCookie)
}

// addressed reports whether r may be for a tenant: it addresses that one, or none.
func addressed(r *http.Request, id tenancy.ID) bool {
	host, ok := middleware.Addressed(r.Context())
	return !ok || host == id
}

// enter renews an access token that has expired, if there is a refresh token, before it lets a request through.
func (s *site) enter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refresh := cookie(r, refreshCookie)
		if _, err := s.cfg.Verifier.Verify(r.Context(), cookie(r, accessCookie)); err == nil || refresh == "" {
			next.ServeHTTP(w, r)
			return
		}
		session, err := s.cfg.Accounts.Refresh(r.Context(), refresh)
		if err == nil && !addressed(r, session.Tenant.ID) {
			err = middleware.ErrTenantMismatch
		}
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		setCookies(w, session)
		ctx := context.WithValue(r.Context(), tokenKey{}, session.AccessToken.Reveal())
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
