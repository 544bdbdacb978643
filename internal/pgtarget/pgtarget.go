// Package pgtarget decides to which server a connection goes, and a password with it. It is the only place that changes
// the host or the port of a connection's configuration, so that the same rules hold for routers and for the
// administrator's connections.
package pgtarget

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// DefaultRequireAuth is the authentication that a server must ask for if the configuration does not name that server:
// pgx answers such a request without sending the password.
const DefaultRequireAuth = "scram-sha-256"

var (
	// ErrHost is returned for a host that pgx would take for several, or that PostgreSQL's protocol cannot carry.
	ErrHost = errors.New("must be one host")

	// ErrTLSUndecided is returned for a TCP host if the configuration names Unix sockets only. pgx drops sslmode for
	// those, so that going on would send in the clear what the operator may have wanted encrypted.
	ErrTLSUndecided = errors.New("is not a Unix socket but the configuration has only sockets, so that TLS is undecided; " +
		"give it a host and an sslmode")
)

// Point makes c connect to host and port and, if host is not empty, to no other host. An empty host keeps those of c,
// and port 0 keeps the ports.
//
// c may list several hosts, each with the TLS alternatives of its sslmode ("prefer" is two: with and without); the
// first TCP host's are used for host, and the certificate is verified for host where it was for that one. A Unix socket
// has no TLS, as in libpq.
//
// If c names another server than host and port and says no require_auth, the server must ask for SCRAM, so that the
// party that chose the host does not get the password. The caller must own c and its Fallbacks, as after Copy.
func Point(c *pgconn.Config, host string, port uint16) error {
	if strings.ContainsAny(host, ",\x00") {
		return ErrHost
	}
	named := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	ways := named
	if host != "" {
		var err error
		if ways, err = alternatives(named, host); err != nil {
			return err
		}
	}
	targets := make([]*pgconn.FallbackConfig, len(ways))
	for i, way := range ways {
		at := *way
		if port != 0 {
			at.Port = port
		}
		isNamed := func(n *pgconn.FallbackConfig) bool { return n.Host == at.Host && n.Port == at.Port }
		if c.RequireAuth == "" && !slices.ContainsFunc(named, isNamed) {
			c.RequireAuth = DefaultRequireAuth
		}
		targets[i] = &at
	}
	c.Host, c.Port, c.TLSConfig = targets[0].Host, targets[0].Port, targets[0].TLSConfig
	c.Fallbacks = targets[1:]
	return nil
}

// alternatives returns the ways to connect to host: with and without TLS, as named says for its first TCP host.
func alternatives(named []*pgconn.FallbackConfig, host string) ([]*pgconn.FallbackConfig, error) {
	if IsUnix(host) {
		return []*pgconn.FallbackConfig{{Host: host, Port: named[0].Port}}, nil
	}
	first := slices.IndexFunc(named, func(t *pgconn.FallbackConfig) bool { return !IsUnix(t.Host) })
	if first < 0 {
		return nil, ErrTLSUndecided
	}
	var ways []*pgconn.FallbackConfig
	for _, t := range named[first:] {
		same := func(w *pgconn.FallbackConfig) bool { return (w.TLSConfig == nil) == (t.TLSConfig == nil) }
		if t.Host != named[first].Host || slices.ContainsFunc(ways, same) {
			continue
		}
		ways = append(ways, &pgconn.FallbackConfig{Host: host, Port: t.Port, TLSConfig: rename(t.TLSConfig, t.Host, host)})
	}
	return ways, nil
}

// rename makes c verify and ask for the new host where it named the old one. A server name that was set by hand stays.
func rename(c *tls.Config, from, to string) *tls.Config {
	if c == nil || c.ServerName != from {
		return c
	}
	c = c.Clone()
	c.ServerName = to
	return c
}

// IsUnix reports whether host is the directory of a Unix socket.
func IsUnix(host string) bool {
	network, _ := pgconn.NetworkAddress(host, 0)
	return network == "unix"
}
