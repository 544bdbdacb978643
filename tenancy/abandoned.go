package tenancy

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pgtarget"
)

// abandonedSettings have PostgreSQL notice within a minute that a client is gone whose host says nothing any more, and
// within two seconds while a query runs that its socket was closed. By default it takes two hours, or the end of the
// query: so long the backend is there beside those that a restarted process, or one whose firewall forgot it, opens in
// its stead.
func abandonedSettings() map[string]string {
	return map[string]string{
		"tcp_keepalives_idle":              "30",
		"tcp_keepalives_interval":          "10",
		"tcp_keepalives_count":             "3",
		"tcp_user_timeout":                 "60000",
		"client_connection_check_interval": "2000",
	}
}

// noticeAbandoned gives a connection those of the settings that it does not have. A pooler refuses them, or would keep
// them for the next client.
func (g *guard) noticeAbandoned(cc *pgx.ConnConfig) {
	if g.tenant.Load().Endpoint.Pooled || g.bulkhead.plain.Load() {
		return
	}
	if cc.RuntimeParams == nil {
		cc.RuntimeParams = make(map[string]string)
	}
	for name, value := range abandonedSettings() {
		_, set := cc.RuntimeParams[name]
		if !set && (!pgtarget.IsUnix(cc.Host) || !strings.HasPrefix(name, "tcp_")) {
			cc.RuntimeParams[name] = value
		}
	}
}

// refusesSettings reports whether a server may have refused a connection for its settings: a pooler that nobody said is
// one, or a system that cannot look whether a socket is closed.
func refusesSettings(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case poolerError,
		pgerr.UndefinedObject, // no such setting
		"22023":               // invalid_parameter_value
		return true
	}
	return false
}
