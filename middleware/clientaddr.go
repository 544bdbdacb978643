package middleware

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddr returns a function that returns the address of a request's client, behind the proxies in these prefixes.
// header is the name of the header that they write: "Forwarded" (RFC 7239), or a header that lists addresses
// as X-Forwarded-For does. Each proxy appends the address of its own client. So the list is read from its end, and the
// first address that is not a proxy's is the client's. Anything before it was written by the client, and is ignored.
//
// For a request that does not come from a proxy it returns the connection's address, and ignores the headers. It
// returns the zero Addr if the connection has no address (a Unix socket), if every address is a proxy's, if there is no
// header, and if a proxy wrote something that is not an address. An address has no zone, and an IPv4 address is never
// mapped to IPv6.
//
// It is safe if and only if every host in proxies appends to that header, or overwrites it, and no middleware in front
// of this one changes RemoteAddr. A proxy that writes one of the two headers passes the other one on unchanged: name
// the header that yours writes.
func ClientAddr(header string, proxies ...netip.Prefix) func(*http.Request) netip.Addr {
	header = strings.Clone(header)
	proxies = slices.Clone(proxies)
	parse := parseHop
	if strings.EqualFold(header, "Forwarded") {
		parse = parseForwarded
	}
	return func(r *http.Request) netip.Addr {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return netip.Addr{}
		}
		addr := peer.Addr().Unmap().WithZone("")
		rest := strings.Join(r.Header.Values(header), ",")
		for contains(proxies, addr) {
			var hop string
			if rest, hop = lastElement(rest); hop == "" {
				return netip.Addr{}
			}
			if addr = parse(hop); !addr.IsValid() {
				return netip.Addr{}
			}
		}
		return addr
	}
}

// lastElement splits the last element off a list. Double quotes are matched from the end, so that a quote that a client
// wrote at the beginning cannot swallow a proxy's element.
func lastElement(list string) (rest, last string) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], strings.Trim(list[i+1:], " \t")
		}
	}
	return "", strings.Trim(list, " \t")
}

// parseHop reads an address with or without a port; in brackets if it is IPv6 and has one. It returns the zero
// Addr for anything else.
func parseHop(s string) netip.Addr {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(s, "]") {
			addr, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
			if addr.Is4() {
				return netip.Addr{}
			}
		} else {
			var hop netip.AddrPort
			hop, err = netip.ParseAddrPort(s)
			addr = hop.Addr()
		}
	}
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// parseForwarded reads one forwarded-element of RFC 7239: it must have "for" once.
func parseForwarded(element string) netip.Addr {
	var addr netip.Addr
	for _, pair := range splitPairs(element) {
		name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !ok {
			return netip.Addr{}
		}
		if !strings.EqualFold(name, "for") {
			continue
		}
		if addr.IsValid() {
			return netip.Addr{}
		}
		if inner, ok := strings.CutPrefix(value, `"`); ok {
			value, ok = strings.CutSuffix(inner, `"`)
			if !ok {
				return netip.Addr{}
			}
		} else if strings.Contains(value, ":") {
			return netip.Addr{} // a colon must be quoted
		}
		if strings.Contains(value, ":") && !strings.HasPrefix(value, "[") && strings.Count(value, ":") > 1 {
			return netip.Addr{} // IPv6 must be in brackets
		}
		if addr = parseHop(value); !addr.IsValid() {
			return netip.Addr{}
		}
	}
	return addr
}

// splitPairs splits at semicolons that are not between double quotes.
func splitPairs(element string) []string {
	quoted := false
	return strings.FieldsFunc(element, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ';' && !quoted
	})
}
