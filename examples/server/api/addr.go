package api

import (
	"net/http"
	"net/netip"
)

// ClientAddr returns the address at the other end of r's connection, for attempts to be counted by. It reads no header:
// whoever sends one could choose an address. A peer on this machine is no client's address, but a proxy, whose clients must
// not hold each other up, or a developer: then there is none.
func ClientAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || peer.Addr().Unmap().IsLoopback() {
		return netip.Addr{}
	}
	return peer.Addr()
}
