package pgtarget_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgtarget"
)

// pointed returns what a connect would try, in order, and what the server must ask for.
func pointed(t *testing.T, c *pgconn.Config) string {
	t.Helper()
	out := ""
	all := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, f := range all {
		tls := "plain"
		if f.TLSConfig != nil {
			tls = fmt.Sprintf("tls %s %v", f.TLSConfig.ServerName, !f.TLSConfig.InsecureSkipVerify)
		}
		out += fmt.Sprintf("%s:%d %s, ", f.Host, f.Port, tls)
	}
	return out + c.RequireAuth
}

func TestConfigurationIsPointedAtOneServerWithItsTLS(t *testing.T) {
	t.Parallel()
	const scram = "scram-sha-256"
	for _, c := range []struct {
		base, host string
		port       uint16
		want       string
	}{
		{"host=a,b port=1,2 sslmode=disable", "", 0, "a:1 plain, b:2 plain, "},
		{"host=a,b port=1,2 sslmode=disable", "", 9, "a:9 plain, b:9 plain, " + scram},
		{"host=a,b port=1,2 sslmode=disable", "t", 0, "t:1 plain, " + scram},
		{"host=a,b port=1,2 sslmode=disable", "b", 2, "b:2 plain, "},
		{"host=a,b port=1,2 sslmode=disable", "b", 1, "b:1 plain, " + scram},
		{"host=a port=1 sslmode=disable", "a", 0, "a:1 plain, "},
		{"host=a port=1 sslmode=disable", "a", 8155, "a:8155 plain, " + scram},
		{"host=a,b sslmode=prefer port=1,2", "t", 9, "t:9 tls t false, t:9 plain, " + scram},
		{"host=a,a sslmode=allow", "t", 9, "t:9 plain, t:9 tls t false, " + scram},
		{"host=a sslmode=verify-full", "t", 9, "t:9 tls t true, " + scram},
		{"host=/tmp,a sslmode=verify-full", "t", 9, "t:9 tls t true, " + scram},
		{"host=a sslmode=verify-full", "/run", 9, "/run:9 plain, " + scram},
		{"host=/tmp", "/tmp", 5432, "/tmp:5432 plain, "},
		{"host=a sslmode=disable require_auth=password", "t", 9, "t:9 plain, password"},
	} {
		cfg, err := pgconn.ParseConfig(c.base)
		if err != nil {
			t.Fatal(err)
		}
		if err := pgtarget.Point(cfg, c.host, c.port); err != nil {
			t.Errorf("%s at %s:%d: %v", c.base, c.host, c.port, err)
			continue
		}
		if diff := cmp.Diff(c.want, pointed(t, cfg)); diff != "" {
			t.Errorf("%s at %s:%d: %s", c.base, c.host, c.port, diff)
		}
	}
}

func TestServerNameThatWasSetByHandStays(t *testing.T) {
	t.Parallel()
	cfg, err := pgconn.ParseConfig("host=a sslmode=verify-full")
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLSConfig.ServerName = "by-hand"
	if err := pgtarget.Point(cfg, "t", 1); err != nil || cfg.TLSConfig.ServerName != "by-hand" {
		t.Errorf("%v, server name %q", err, cfg.TLSConfig.ServerName)
	}
}

func TestHostsThatNoConfigurationDecidesAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base, host string
		want       error
	}{
		{"host=a", "t,evil", pgtarget.ErrHost},
		{"host=a", "t\x00", pgtarget.ErrHost},
		{"host=/tmp sslmode=verify-full", "t", pgtarget.ErrTLSUndecided},
		{"host=/tmp,/run", "127.0.0.1", pgtarget.ErrTLSUndecided},
	} {
		cfg, err := pgconn.ParseConfig(c.base)
		if err != nil {
			t.Fatal(err)
		}
		before := pointed(t, cfg)
		if err := pgtarget.Point(cfg, c.host, 9); !errors.Is(err, c.want) || pointed(t, cfg) != before {
			t.Errorf("%s at %q: %v, %s", c.base, c.host, err, pointed(t, cfg))
		}
	}
}

// FuzzPoint: wherever it points, it is that host alone, and a server that the configuration does not name has to ask
// for SCRAM.
func FuzzPoint(f *testing.F) {
	for _, host := range []string{"", "t", "a", "/run", "@abstract", "::1", "a,b", "C:\\x", "\x00"} {
		f.Add(host, uint16(0), "host=a,/tmp port=1,2 sslmode=prefer")
		f.Add(host, uint16(2), "host=/tmp")
	}
	f.Fuzz(func(t *testing.T, host string, port uint16, base string) {
		if !strings.HasPrefix(base, "host=") || strings.Contains(base, "service") {
			return
		}
		cfg, err := pgconn.ParseConfig(base)
		if err != nil {
			return
		}
		named := map[string]bool{}
		for _, n := range append(cfg.Fallbacks, &pgconn.FallbackConfig{Host: cfg.Host, Port: cfg.Port}) {
			named[fmt.Sprint(n.Host, n.Port)] = true
		}
		own := cfg.RequireAuth
		if pgtarget.Point(cfg, host, port) != nil {
			return
		}
		for _, to := range append(cfg.Fallbacks, &pgconn.FallbackConfig{Host: cfg.Host, Port: cfg.Port}) {
			if host != "" && to.Host != host || port != 0 && to.Port != port {
				t.Errorf("%q: goes to %q:%d, not to %q:%d", base, to.Host, to.Port, host, port)
			}
			if !named[fmt.Sprint(to.Host, to.Port)] && own == "" && cfg.RequireAuth != pgtarget.DefaultRequireAuth {
				t.Errorf("%q: %q:%d may ask for %q", base, to.Host, to.Port, cfg.RequireAuth)
			}
		}
	})
}
