package middleware

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// FromTrustedHeader identifies by a header that a proxy of yours sets, such as X-Tenant-ID. The value must be the
// tenant's ID in its canonical spelling.
//
// The header counts only if the request comes from one of peers: the address at the other end of the connection,
// [http.Request.RemoteAddr], must lie in one of these prefixes. From anywhere else, from a Unix socket, and where no
// prefix is given, the header is ignored as if it were not there. Given twice it is refused with [ErrMisaddressed].
//
// It is safe if and only if
//   - every host in peers overwrites the header, and never passes on what a client sent, and
//   - nothing in front of this middleware changes RemoteAddr. Many "real IP" middlewares copy X-Forwarded-For or
//     X-Real-IP there, and then a client chooses its own address.
//
// Name single proxies (10.1.2.3/32) rather than networks that clients are in too. If you cannot ensure both, do not use
// the header: the token names its tenant.
func FromTrustedHeader(name string, peers ...netip.Prefix) Identifier {
	peers = slices.Clone(peers)
	return func(r *http.Request) (tenancy.ID, error) {
		values := r.Header.Values(name)
		if len(values) == 0 || !trusted(r.RemoteAddr, peers) {
			return "", ErrNoTenant
		}
		if len(values) > 1 {
			return "", ErrMisaddressed
		}
		return tenancy.ParseID(values[0])
	}
}

func trusted(remote string, peers []netip.Prefix) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	return contains(peers, peer.Addr())
}

// contains reports whether addr lies in one of prefixes; a prefix itself contains none that is mapped or has a zone.
func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
