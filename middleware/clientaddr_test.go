package middleware_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/middleware"
)

var proxies = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("2001:db8:1::/48"),
}

func TestClientsAddressIsTheLastThatIsNoProxys(t *testing.T) {
	t.Parallel()
	const client = "203.0.113.9"
	for _, c := range []struct {
		remote, header string
		values         []string
		want           string
	}{
		{"192.0.2.1:80", "X-Forwarded-For", []string{client}, "192.0.2.1"}, // no proxy: the header is the client's
		{"[fe80::1%eth0]:80", "X-Forwarded-For", nil, "fe80::1"},
		{"127.0.0.1:80", "X-Forwarded-For", []string{client}, client},
		{"[::ffff:127.0.0.1]:80", "X-Forwarded-For", []string{client}, client},
		{"127.0.0.1:80", "X-Forwarded-For", []string{"198.51.100.1, " + client + ", 10.1.2.3"}, client},
		{"127.0.0.1:80", "X-Forwarded-For", []string{"198.51.100.1", client}, client},
		{"127.0.0.1:80", "X-Forwarded-For", []string{"\"evil, 1.1.1.1", client}, client},
		{"127.0.0.1:80", "X-Forwarded-For", []string{client + ":4711"}, client},
		{"127.0.0.1:80", "X-Forwarded-For", []string{"[2001:db8:2::1]:4711"}, "2001:db8:2::1"},
		{"127.0.0.1:80", "X-Forwarded-For", []string{"2001:db8:2::1"}, "2001:db8:2::1"},
		{"127.0.0.1:80", "X-Forwarded-For", []string{"::ffff:203.0.113.9"}, client},
		{"127.0.0.1:80", "X-Forwarded-For", []string{client + ", ::ffff:10.1.2.3, 2001:db8:1::7"}, client},
		{"127.0.0.1:80", "X-Forwarded-For", []string{client + ", unknown"}, ""},
		{"127.0.0.1:80", "X-Forwarded-For", []string{client + ","}, ""},
		{"127.0.0.1:80", "X-Forwarded-For", []string{"fe80::1%eth0"}, ""},
		{"127.0.0.1:80", "X-Forwarded-For", []string{"[203.0.113.9]"}, ""},
		{"127.0.0.1:80", "X-Forwarded-For", []string{"10.1.2.3"}, ""},
		{"127.0.0.1:80", "X-Forwarded-For", nil, ""},
		{"@", "X-Forwarded-For", []string{client}, ""},
		{"", "X-Forwarded-For", []string{client}, ""},
		{"127.0.0.1:80", "x-real-ip", []string{client}, client},
		{"127.0.0.1:80", "Forwarded", []string{"for=" + client}, client},
		{"127.0.0.1:80", "forwarded", []string{"proto=https;FOR=\"" + client + ":4711\";by=\"_a;b,c\""}, client},
		{"127.0.0.1:80", "Forwarded", []string{`for="[2001:db8:2::1]:4711"; host="a,b", for=10.1.2.3`}, "2001:db8:2::1"},
		{"127.0.0.1:80", "Forwarded", []string{`for="`, "for=" + client}, client},
		{"127.0.0.1:80", "Forwarded", []string{`for="1.1.1.1, for=2.2.2.2`, `for="` + client + `"`}, client},
		{"127.0.0.1:80", "Forwarded", []string{"for=" + client + ";for=1.1.1.1"}, ""},
		{"127.0.0.1:80", "Forwarded", []string{"for=_hidden"}, ""},
		{"127.0.0.1:80", "Forwarded", []string{"for=2001:db8:2::1"}, ""},
		{"127.0.0.1:80", "Forwarded", []string{`for="2001:db8:2::1"`}, ""},
		{"127.0.0.1:80", "Forwarded", []string{"by=" + client}, ""},
		{"127.0.0.1:80", "Forwarded", []string{client}, ""},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		for _, v := range c.values {
			r.Header.Add(c.header, v)
		}
		r.Header.Set("X-Other", client)
		got := middleware.ClientAddr(c.header, proxies...)(r)
		if c.want == "" && got != (netip.Addr{}) || c.want != "" && got.String() != c.want {
			t.Errorf("%s, %s %q: %v, want %q", c.remote, c.header, c.values, got, c.want)
		}
		if none := middleware.ClientAddr(c.header)(r); none.IsValid() && !strings.Contains(c.remote, none.String()) {
			t.Errorf("%s, without proxies: %v", c.remote, none)
		}
	}
}

// FuzzClientAddr: the address that the proxy added is the client's, no matter what the client sends before it.
func FuzzClientAddr(f *testing.F) {
	for _, s := range []string{
		"", "1.1.1.1", `for="`, `"`, ",", `for="a,b";by=c`, "10.1.2.3", "\\\"", "unknown, ",
		"for=1.1.1.1,",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		for header, element := range map[string]string{
			"X-Forwarded-For": "203.0.113.9", "Forwarded": `proto=https;for="203.0.113.9:4711"`,
		} {
			for _, values := range [][]string{{sent, element}, {sent + ", " + element}} {
				r := &http.Request{RemoteAddr: "10.1.2.9:443", Header: http.Header{}}
				for _, v := range values {
					r.Header.Add(header, v)
				}
				if got := middleware.ClientAddr(header, proxies...)(r); got.String() != "203.0.113.9" {
					t.Errorf("%s %q: %v", header, values, got)
				}
				r.Header.Set(header, sent)
				if got := middleware.ClientAddr(header, proxies...)(r); got.Zone() != "" || got.Is4In6() {
					t.Errorf("%s %q: %v", header, sent, got)
				}
			}
		}
	})
}
