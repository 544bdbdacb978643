package tenancy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// With sslmode=prefer the next address in the list is the same one without TLS. It is not what a refused password is
// tried on.
func TestRefusedPasswordIsNotTriedInTheClear(t *testing.T) {
	t.Parallel()
	base, err := pgxpool.ParseConfig("host=192.0.2.7 user=app password=base sslmode=prefer")
	if err != nil {
		t.Fatal(err)
	}
	https := httptest.NewTLSServer(nil) // has a certificate
	defer https.Close()
	server := refuser{certificates: https.TLS.Certificates}
	base.ConnConfig.DialFunc = server.dial
	dir := newTenants("t0")
	record := dir.records["t0"]
	record.Endpoint.Password = tenancy.NewSecret("pw")
	dir.put(record)
	r := resolver(t, tenancy.Config{Directory: dir, Base: base})
	defer closeNow(t, r)
	var pg *pgconn.PgError
	if err := query(t, r, "t0"); !errors.As(err, &pg) || pg.Code != "28P01" {
		t.Error(err)
	}
	if server.clear.Load() != 0 || server.secure.Load() != 4 {
		t.Errorf("%d passwords in the clear, %d through TLS", server.clear.Load(), server.secure.Load())
	}
}

// refuser is a server that speaks TLS and refuses every password.
type refuser struct {
	certificates  []tls.Certificate
	clear, secure atomic.Int64 // passwords that it was told
}

func (s *refuser) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go s.serve(server)
	return client, nil
}

func (s *refuser) serve(conn net.Conn) {
	defer conn.Close()
	told, backend := &s.clear, pgproto3.NewBackend(conn, conn)
	msg, err := backend.ReceiveStartupMessage()
	if _, ok := msg.(*pgproto3.SSLRequest); ok && err == nil {
		if _, err := conn.Write([]byte("S")); err != nil {
			return
		}
		secure := tls.Server(conn, &tls.Config{Certificates: s.certificates, MinVersion: tls.VersionTLS12})
		told, backend = &s.secure, pgproto3.NewBackend(secure, secure)
		_, err = backend.ReceiveStartupMessage()
	}
	if err != nil {
		return
	}
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if backend.Flush() != nil || backend.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	if _, err := backend.Receive(); err != nil {
		return
	}
	told.Add(1)
	backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "no"})
	_ = backend.Flush()
}
