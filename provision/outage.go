package provision

import (
	"context"
	"errors"
	"strings"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// isServerDown reports whether err, redacted or not, says that no connection came about for a reason that is the
// server's. What it refuses to one database or role shows that it is well.
func isServerDown(err error) bool {
	if !pgerr.IsConnect(err) || errors.Is(err, context.Canceled) {
		return false
	}
	code := pgerr.State(err)
	return code == "" || strings.HasPrefix(code, pgerr.ConnectionException) ||
		pgerr.IsState(err, pgerr.AdminShutdown, pgerr.CrashShutdown, pgerr.CannotConnectNow)
}
