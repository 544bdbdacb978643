package api_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/pgtenancy/pgtenancy/examples/server/api"
)

func TestClientsAddressIsThePeersUnlessItIsThisMachine(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1", "[fe80::1%eth0]:80": "fe80::1%eth0",
		"127.0.0.1:80": "", "127.9.9.9:80": "", "[::1]:80": "", "[::ffff:127.0.0.1]:80": "", "@": "", "": "", "192.0.2.1": "",
	} {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}, "Forwarded": {"for=203.0.113.9"}}}
		got := api.ClientAddr(r)
		if want == "" && got != (netip.Addr{}) || want != "" && got.String() != want {
			t.Errorf("%q: %v, want %q", remote, got, want)
		}
	}
}
