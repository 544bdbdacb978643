package middleware

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// FromPathValue identifies by a wildcard of the route, as in "/t/{tenant}/members" for the name "tenant". The value
// must be the tenant's ID in its canonical spelling.
//
// A router fills wildcards in when it has chosen the route, so the Middleware must run after that:
//
//   - [http.ServeMux]: wrap the route's handler, not the mux.
//   - chi: use the Middleware with Router.With, or with Use in a sub-router below the wildcard. Use at the root runs
//     before the routing.
//   - gin, echo, fiber: use the adapter in a folder of this one. It fills the wildcards in.
//   - gorilla/mux and httprouter keep their wildcards elsewhere. Write an Identifier that passes mux.Vars(r)["tenant"]
//     or httprouter.ParamsFromContext(r.Context()).ByName("tenant") to [tenancy.ParseID].
//
// On a route that does not have the wildcard it returns an error that matches [ErrMiswired]: the client gets 500, and
// the first such request is logged at level Error. If a Middleware also serves routes without the wildcard, on which
// the token alone decides, say so with FirstOf(FromPathValue(name)): within [FirstOf] such a request names no tenant.
func FromPathValue(name string) Identifier {
	name = strings.Clone(name)
	return func(r *http.Request) (tenancy.ID, error) {
		value := r.PathValue(name)
		switch {
		case value != "":
			return tenancy.ParseID(value)
		case hasWildcard(r.Pattern, name):
			return "", ErrNoTenant
		}
		return "", &noWildcardError{name: name, pattern: strings.Clone(r.Pattern)}
	}
}

// hasWildcard reports whether a pattern has the wildcard, in the spelling of net/http or another router.
func hasWildcard(pattern, name string) bool {
	for _, mark := range []string{"{", ":", "*", "+"} {
		if strings.Contains(pattern, mark+name) {
			return true
		}
	}
	return false
}

// noWildcardError is ErrMiswired, and ErrNoTenant for FirstOf.
type noWildcardError struct {
	name, pattern string
}

func (e *noWildcardError) Error() string {
	if e.pattern == "" {
		return fmt.Sprintf("%v: no router has set path value %q yet: wrap the route's handler, not the router, and see "+
			"FromPathValue on routers other than net/http's", ErrMiswired, e.name)
	}
	return fmt.Sprintf("%v: pattern %q has no path value %q", ErrMiswired, e.pattern, e.name)
}

func (*noWildcardError) Is(target error) bool { return target == ErrMiswired || target == ErrNoTenant }
