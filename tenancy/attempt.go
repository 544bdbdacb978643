package tenancy

import (
	"net"

	"github.com/pgtenancy/pgtenancy/internal/connbudget"
)

// attempt is one connect, from start to end; its context carries it.
type attempt struct {
	permit *connbudget.Permit
	socket net.Conn // the last one dialled
}

type attemptKey struct{}
