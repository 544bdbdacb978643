package main

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// clientAddr returns what tells a client's address behind proxies, a list of addresses and networks. Another peer on
// this machine is no client, but a proxy that the operator has not named, whose clients must not hold each other up, or
// a developer: it has no address.
func clientAddr(proxies string) (func(*http.Request) netip.Addr, error) {
	var prefixes []netip.Prefix
	for item := range strings.SplitSeq(proxies, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if addr, addrErr := netip.ParseAddr(item); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	behind := middleware.ClientAddr("X-Forwarded-For", prefixes...)
	return func(r *http.Request) netip.Addr {
		addr := behind(r)
		if addr.IsLoopback() {
			return netip.Addr{}
		}
		return addr
	}, nil
}
