package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

// UnsignedServerError says that the address of a server in the registry carries no valid signature, so that no password
// is sent there. It was written before there were signatures, under a key that is not in the ring, or by hand: by an
// operator or by an attacker. [Registry.PutServer] signs. Its HTTP status is 503.
type UnsignedServerError struct {
	Server string
}

// Error names the server and what to do.
func (e *UnsignedServerError) Error() string {
	return fmt.Sprintf("registry: server %q: address is not signed by a key of this ring: call PutServer with the right one",
		regdb.Shorten(e.Server))
}

// HTTPStatus returns 503.
func (*UnsignedServerError) HTTPStatus() int { return http.StatusServiceUnavailable }

// Verify returns an [*UnsignedServerError] if s is Unsigned.
func (s Server) Verify() error {
	if s.Unsigned {
		return &UnsignedServerError{Server: s.Name}
	}
	return nil
}

// signServers signs the addresses anew that are signed under another key of the ring than the current one.
func (k *rekeying) signServers(ctx context.Context) error {
	type row struct {
		Server
		mac string
	}
	var servers []row
	if err := k.db.ForEach(ctx, "rekey: read servers",
		`SELECT `+regdb.ServerColumns+`, s.address_mac FROM pgtenancy.servers s ORDER BY s.name`,
		func(scan pgx.CollectableRow) error {
			var s row
			err := scan.Scan(append(s.fields(), &s.mac)...)
			servers = append(servers, s)
			return err
		}); err != nil {
		return err
	}
	var signed int64
	for _, s := range servers {
		now := s.address().Sign(k.db.Keys)
		if !s.address().Signed(k.db.Keys, s.mac) {
			k.result.Left++
			k.broken(ctx, "servers", s.Name, &UnsignedServerError{Server: s.Name})
			continue
		}
		if now == s.mac {
			continue
		}
		written, err := k.db.Exec(ctx, "rekey: sign server", `UPDATE pgtenancy.servers SET address_mac = $3
			WHERE name = $1 AND address_mac = $2 AND host = $4 AND port = $5 AND pooled_host = $6 AND pooled_port = $7`,
			s.Name, s.mac, now, s.Host, s.Port, s.PooledHost, s.PooledPort)
		if err != nil {
			return err
		}
		if written {
			signed++
		} else {
			k.result.Left++ // changed meanwhile: the next pass looks at it again
		}
	}
	k.result.Resealed += signed
	k.progress("servers", "address_mac", int64(len(servers)), signed)
	return nil
}
