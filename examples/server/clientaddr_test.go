package main

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClientsAddressIsThePeersUnlessAProxyIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ proxies, remote, want string }{
		{"", "192.0.2.1:80", "192.0.2.1"},
		{"", "[2001:db8::1]:80", "2001:db8::1"},
		{"", "127.0.0.1:80", ""},
		{"", "[::1]:80", ""},
		{"", "[::ffff:127.0.0.1]:80", ""},
		{"", "@", ""},
		{"", "", ""},
		{"127.0.0.1, ::1", "127.0.0.1:80", "203.0.113.9"},
		{"127.0.0.0/8", "[::ffff:127.0.0.1]:80", "203.0.113.9"},
		{"10.0.0.0/8", "127.0.0.1:80", ""},
		{"10.0.0.0/8", "192.0.2.1:80", "192.0.2.1"},
	} {
		tell, err := clientAddr(c.proxies)
		if err != nil {
			t.Fatal(err)
		}
		got := tell(&http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": {"1.1.1.1, 203.0.113.9"}}})
		if c.want == "" && got != (netip.Addr{}) || c.want != "" && got.String() != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if _, err := clientAddr("10.0.0.0/8,nginx"); err == nil {
		t.Error("a name is taken for a proxy's address")
	}
}
