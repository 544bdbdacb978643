package registry

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
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
		shorten(e.Server))
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

// signAddress returns the signature of s's name and addresses under the current index key. It is no sealed value, so
// that a router can check one without a key service.
func (k *Keyring) signAddress(s Server) string { return signAddress(k.signing, s) }

func signAddress(key Key, s Server) string {
	mac := hmac.New(sha256.New, key.Secret)
	// Quoted, so that no two servers have one text.
	_, _ = fmt.Fprintf(mac, "v1|servers|address|%q|%q|%d|%q|%d", s.Name, s.Host, s.Port, s.PooledHost, s.PooledPort)
	return strconv.Itoa(int(key.ID)) + ":" + base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// signed reports whether mac is the signature of s under a key of the ring.
func (k *Keyring) signed(s Server, mac string) bool {
	id, _, _ := strings.Cut(mac, ":")
	for _, key := range k.index {
		if strconv.Itoa(int(key.ID)) == id {
			return hmac.Equal([]byte(mac), []byte(signAddress(key, s)))
		}
	}
	return false
}

// signServers signs the addresses anew that are signed under another key of the ring than the current one.
func (k *rekeying) signServers(ctx context.Context) error {
	type row struct {
		Server
		mac string
	}
	var servers []row
	if err := k.forEach(ctx, "rekey: read servers",
		`SELECT `+serverColumns+`, s.address_mac FROM pgtenancy.servers s ORDER BY s.name`,
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
		now := k.keys.signAddress(s.Server)
		if !k.keys.signed(s.Server, s.mac) {
			k.result.Left++
			k.broken(ctx, "servers", s.Name, &UnsignedServerError{Server: s.Name})
			continue
		}
		if now == s.mac {
			continue
		}
		written, err := k.exec(ctx, "rekey: sign server", `UPDATE pgtenancy.servers SET address_mac = $3
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
