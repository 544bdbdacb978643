package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Identifier says which tenant a request addresses. It returns an error that matches [ErrNoTenant] if the request names
// none; with any other error the request is refused. An Identifier proves nothing: whoever makes the request chooses
// what it addresses.
type Identifier func(r *http.Request) (tenancy.ID, error)

// FromPathValue identifies by a wildcard of the route, as in "/t/{tenant}/members" for the name "tenant". The value
// must be the tenant's ID in its canonical spelling. [http.ServeMux] fills wildcards in when it has chosen the route:
// wrap the route's handler, not the mux. So does chi: use the Middleware with Router.With, or in a sub-router below
// the wildcard, and not with Use at the root, where no wildcard has a value yet and every request is one that names no
// tenant. Other routers keep their wildcards elsewhere: write an Identifier that calls [tenancy.ParseID] with what
// theirs returns. Config.Logger is told once, at level Warn, of a route without that wildcard, unless FirstOf asks.
func FromPathValue(name string) Identifier {
	return func(r *http.Request) (tenancy.ID, error) {
		value := r.PathValue(name)
		if value == "" {
			return "", noPathValue{name: name, pattern: r.Pattern}
		}
		return tenancy.ParseID(value)
	}
}

// noPathValue is ErrNoTenant of FromPathValue.
type noPathValue struct {
	name, pattern string
}

func (e noPathValue) Error() string {
	return fmt.Sprintf("%v: path value %q is not in the pattern %q: wrap the route's handler, not the router",
		ErrNoTenant, e.name, e.pattern)
}

func (noPathValue) Is(target error) bool { return target == ErrNoTenant }

// FirstOf asks each of ids in turn and returns the answer of the first that does not say ErrNoTenant. One that refuses
// the request ends it; put [FromSubdomain], which refuses hosts that it does not know, after those that may know them.
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

// addressed is what a Middleware found out of a request. An empty id means that the request names no tenant.
type addressed struct {
	id tenancy.ID
	by *Middleware
}

type addressedKey struct{}

// Addressed returns the tenant that the request of ctx addresses, and whether it names one. It says nothing of whether
// there is such a tenant or the client may use it.
func Addressed(ctx context.Context) (tenancy.ID, bool) {
	a, _ := ctx.Value(addressedKey{}).(addressed)
	return a.id, a.id != ""
}

// Identify finds out which tenant a request addresses, for Addressed and for the steps that follow. It refuses requests
// that address a tenant improperly and passes on those that address none. Authenticate and Tenant ask the Identifier
// themselves where Identify has not been used.
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
	var e noPathValue
	if errors.As(err, &e) && !strings.Contains(e.pattern, "{"+e.name) {
		m.unrouted.Do(func() { m.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn, e.Error()) })
	}
	if errors.Is(err, ErrNoTenant) {
		return "", nil
	}
	return id, err
}

// address returns what m's Identify found out, and asks anew where it did not run. What another Middleware found out
// does not count.
func (m *Middleware) address(r *http.Request) (tenancy.ID, error) {
	if a, ok := r.Context().Value(addressedKey{}).(addressed); ok && a.by == m {
		return a.id, nil
	}
	return m.identify(r)
}
