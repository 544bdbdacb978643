package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

// ServerState says whether a server takes new tenants. It serves its present tenants in every state.
type ServerState string

// The states of a server.
const (
	ServerOpen     ServerState = "open"     // takes new tenants
	ServerFull     ServerState = "full"     // takes none
	ServerDraining ServerState = "draining" // takes none, and its tenants are to move away
)

// Server is a PostgreSQL server that holds tenants' databases.
type Server struct {
	Name       string
	Host       string
	Port       uint16
	PooledHost string // a transaction pooler in front of it; empty: none
	PooledPort uint16
	Region     string
	Weight     int // relative share of new tenants; default 1
	Capacity   int // tenants it may hold; 0: no limit
	MaxConns   int // connections that pgtenancy may open to it in all; 0: not limited here
	State      ServerState
	Tenants    int // tenants placed on it now; read only

	// Unsigned is true of a server whose address was not written by PutServer or AddServer under a key of the ring;
	// read only. Nothing of pgtenancy connects to it.
	Unsigned bool
}

func (s *Server) fields() []any {
	return []any{
		&s.Name, &s.Host, &s.Port, &s.PooledHost, &s.PooledPort, &s.Region, &s.Weight, &s.Capacity,
		&s.MaxConns, &s.State, &s.Tenants,
	}
}

// PutServer adds a server, or replaces the record with its name. Zero Weight is 1, zero State open. If
// the address changes, the epoch of every tenant on it is raised, so that routers reconnect. ctx governs the
// transaction. Its error names every field that is wrong.
//
// It signs the address under the current index key. Nothing of pgtenancy connects to a server whose address was written
// in another way ([Server.Unsigned]): the passwords of tenants and of the administrator go where a holder of the keys
// has said. So take s from your configuration, and never from the registry.
func (r *Registry) PutServer(ctx context.Context, s Server) error {
	s = s.withDefaults()
	if err := s.validate(); err != nil {
		return err
	}
	return r.db.InTx(ctx, fmt.Sprintf("put server %q", s.Name), func(tx pgx.Tx) error {
		var before Server
		err := tx.QueryRow(ctx, `SELECT `+regdb.ServerColumns+` FROM pgtenancy.servers s WHERE s.name = $1 FOR NO KEY UPDATE`,
			s.Name).Scan(before.fields()...)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		known := err == nil
		if _, err = tx.Exec(ctx, insertServer+replaceServer, r.serverValues(s)...); err != nil {
			return err
		}
		if !known || before.address() == s.address() {
			return nil
		}
		_, err = tx.Exec(ctx, raiseServer, s.Name)
		return err
	})
}

const insertServer = `
INSERT INTO pgtenancy.servers
	(name, host, port, pooled_host, pooled_port, region, weight, capacity, max_conns, state, address_mac)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

const replaceServer = `
ON CONFLICT (name) DO UPDATE SET
	host = excluded.host, port = excluded.port, pooled_host = excluded.pooled_host,
	pooled_port = excluded.pooled_port, region = excluded.region, weight = excluded.weight,
	capacity = excluded.capacity, max_conns = excluded.max_conns, state = excluded.state,
	address_mac = excluded.address_mac, updated_at = now()`

// AddServer adds a server, or returns the record with its name unchanged: the address, weight, capacity, budget and
// state that an operator has put there stay. It is meant for code that runs at every start, where [Registry.PutServer]
// would undo what an operator did meanwhile. Zero Weight is 1, zero State open. It returns the record as it is now.
// ctx governs the transaction. Its error names every field that is wrong.
//
// Only a record that was never signed gets the address of s, signed under the current index key; the rest of it stays.
// If that changes the address, the epoch of every tenant on it is raised. A signature that no key of the ring has made
// is an [*UnsignedServerError]: this process has other keys than the registry, or somebody changed the row, and an
// operator must look. As with PutServer, take s from your configuration.
func (r *Registry) AddServer(ctx context.Context, s Server) (Server, error) {
	s = s.withDefaults()
	if err := s.validate(); err != nil {
		return Server{}, err
	}
	err := r.db.InTx(ctx, fmt.Sprintf("add server %q", s.Name), func(tx pgx.Tx) error {
		added, err := tx.Exec(ctx, insertServer+` ON CONFLICT (name) DO NOTHING`, r.serverValues(s)...)
		if err != nil || added.RowsAffected() > 0 {
			return err
		}
		var there Server
		var mac string
		if err := tx.QueryRow(ctx, `SELECT `+regdb.ServerColumns+`, s.address_mac FROM pgtenancy.servers s
			WHERE s.name = $1 FOR NO KEY UPDATE`, s.Name).Scan(append(there.fields(), &mac)...); err != nil {
			return err
		}
		switch {
		case there.address().Signed(r.db.Keys, mac):
			return nil
		case mac != "":
			return regdb.Refuse(&UnsignedServerError{Server: s.Name})
		}
		if _, err := tx.Exec(ctx, signServer, s.Name, s.Host, s.Port, s.PooledHost, s.PooledPort,
			s.address().Sign(r.db.Keys)); err != nil || there.address() == s.address() {
			return err
		}
		_, err = tx.Exec(ctx, raiseServer, s.Name)
		return err
	})
	if err != nil {
		return Server{}, err
	}
	return r.Server(ctx, s.Name)
}

// serverValues are the parameters of insertServer.
func (r *Registry) serverValues(s Server) []any {
	return []any{
		s.Name, s.Host, s.Port, s.PooledHost, s.PooledPort, s.Region, s.Weight, s.Capacity, s.MaxConns, s.State,
		s.address().Sign(r.db.Keys),
	}
}

const signServer = `
UPDATE pgtenancy.servers SET host = $2, port = $3, pooled_host = $4, pooled_port = $5, address_mac = $6,
	updated_at = now()
WHERE name = $1`

const raiseServer = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET epoch = epoch + 1, updated_at = now() WHERE server = $1 RETURNING id, epoch
)` + regdb.Publish

// Server returns the server of that name, or [ErrServerNotFound]. ctx governs the query.
func (r *Registry) Server(ctx context.Context, name string) (Server, error) {
	var s Server
	var mac string
	err := r.db.QueryRow(ctx, fmt.Sprintf("server %q", name),
		`SELECT `+regdb.ServerColumns+`, s.address_mac FROM pgtenancy.servers s WHERE s.name = $1`, []any{name},
		append(s.fields(), &mac)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return Server{}, fmt.Errorf("%w: %q", ErrServerNotFound, name)
	}
	s.Unsigned = !s.address().Signed(r.db.Keys, mac)
	return s, err
}

// Servers returns all servers, ordered by name, including Unsigned ones. ctx governs the query.
func (r *Registry) Servers(ctx context.Context) ([]Server, error) {
	rows, _ := r.db.Pool.Query(ctx,
		`SELECT `+regdb.ServerColumns+`, s.address_mac FROM pgtenancy.servers s ORDER BY s.name`)
	servers, err := pgx.CollectRows(rows, r.scanServer)
	return servers, regdb.Redact("servers", err)
}

// scanServer reads regdb.ServerColumns and address_mac.
func (r *Registry) scanServer(row pgx.CollectableRow) (s Server, err error) {
	var mac string
	err = row.Scan(append(s.fields(), &mac)...)
	s.Unsigned = !s.address().Signed(r.db.Keys, mac)
	return s, err
}

// address is what PutServer and AddServer sign.
func (s Server) address() regdb.Address {
	return regdb.Address{Name: s.Name, Host: s.Host, Port: s.Port, PooledHost: s.PooledHost, PooledPort: s.PooledPort}
}

func (s Server) withDefaults() Server {
	s.Weight = cmp.Or(s.Weight, 1)
	s.State = cmp.Or(s.State, ServerOpen)
	return s
}

func (s Server) validate() error {
	var errs []error
	refuse := func(wrong bool, message string) {
		if wrong {
			errs = append(errs, errors.New("registry: Server."+message))
		}
	}
	refuse(s.Name == "", "Name: must be set")
	refuse(s.Host == "", "Host: must be set")
	refuse(s.Port == 0, "Port: must be set")
	refuse(strings.ContainsAny(s.Host+s.PooledHost, ",\x00"), "Host, PooledHost: must be one host")
	refuse((s.PooledHost == "") != (s.PooledPort == 0), "PooledPort: must be set if PooledHost is, and only then")
	refuse(s.Weight < 0, "Weight: must not be negative")
	refuse(s.Capacity < 0, "Capacity: must not be negative")
	refuse(s.MaxConns < 0, "MaxConns: must not be negative")
	switch s.State {
	case ServerOpen, ServerFull, ServerDraining:
	default:
		refuse(true, "State: must be open, full or draining")
	}
	return errors.Join(errs...)
}

// Placement chooses a server for a new tenant among the open ones with room. It runs while the servers' rows are
// locked, so it must not do I/O.
type Placement func(servers []Server) (name string, err error)

// UnsignedServerError says that the address of a server in the registry carries no valid signature, so that no password
// is sent there. It was written before there were signatures, under a key that is not in the ring, or by hand: by an
// operator or by an attacker. [Registry.PutServer] signs. Its HTTP status is 503.
type UnsignedServerError struct {
	Server string
}

// Error names the server and what to do.
func (e *UnsignedServerError) Error() string {
	return fmt.Sprintf(
		"registry: server %q: address is not signed by a key of this ring: call PutServer with the right one",
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
