package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Identifier says which tenant a request addresses. It returns an error that matches [ErrNoTenant] if the request names
// none; with any other error the request is refused. An Identifier proves nothing: the client chooses what its request
// addresses.
type Identifier func(r *http.Request) (tenancy.ID, error)

// FirstOf calls ids in turn and returns the result of the first that does not return ErrNoTenant. An Identifier that
// refuses the request ends the search: put [FromSubdomain], which refuses hosts outside its base, after the Identifiers
// that should see such requests.
func FirstOf(ids ...Identifier) Identifier {
	ids = slices.Clone(ids)
	return func(r *http.Request) (tenancy.ID, error) {
		for _, identify := range ids {
			if id, err := identify(r); !errors.Is(err, ErrNoTenant) {
				return id, err
			}
		}
		return "", ErrNoTenant
	}
}

// addressed is the tenant that a request addresses, according to one Middleware. An empty id means that it names none.
type addressed struct {
	id tenancy.ID
	by *Middleware
}

type addressedKey struct{}

// Addressed returns the tenant that the request of ctx addresses, and whether it names one. The tenant need not exist,
// and the client need not have access to it.
func Addressed(ctx context.Context) (tenancy.ID, bool) {
	a, _ := ctx.Value(addressedKey{}).(addressed)
	return a.id, a.id != ""
}

// Identify determines which tenant a request addresses, for Addressed and for the steps that follow. It refuses
// requests that address a tenant improperly and passes on requests that address none. Authenticate and Tenant call the
// Identifier themselves if Identify is not used.
func (m *Middleware) Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := m.identify(r)
		if err != nil {
			m.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), addressedKey{}, addressed{id, m})))
	})
}

// identify returns the tenant that r addresses, "" for none.
func (m *Middleware) identify(r *http.Request) (tenancy.ID, error) {
	if m.cfg.Identify == nil {
		return "", nil
	}
	id, err := m.cfg.Identify(r)
	if errors.Is(err, ErrMiswired) {
		m.miswired.Do(func() { m.wiringLog().LogAttrs(r.Context(), slog.LevelError, err.Error()) })
		return "", err
	}
	if errors.Is(err, ErrNoTenant) {
		return "", nil
	}
	return id, err
}

// address returns the result of m's Identify, or calls the Identifier if Identify did not run. The result of another
// Middleware's Identify does not count.
func (m *Middleware) address(r *http.Request) (tenancy.ID, error) {
	if a, ok := r.Context().Value(addressedKey{}).(addressed); ok && a.by == m {
		return a.id, nil
	}
	return m.identify(r)
}
