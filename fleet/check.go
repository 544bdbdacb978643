package fleet

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/status"
)

// probeTimeout bounds what a probe asks of the registry.
const probeTimeout = 3 * time.Second

// Check reports whether requests should be sent to this process: the registry answers, this process hears of its
// changes, there are connections for it on every server with a budget, its loops run, and neither Unready nor Close
// was called. It costs one query of the registry, which ctx governs. Tenants' servers are not asked: a server that is
// down must not take the tenants of the others with it. The error names every cause, and its HTTP status is 503.
func (f *Fleet) Check(ctx context.Context) error {
	if f.stopping.Load() {
		return unready("stopping")
	}
	return errors.Join(f.sharing.check(), f.following.check(), f.reconciling.check(), f.registry.Check(ctx),
		f.share.Check())
}

// Unready makes Check fail from now on. Call it when the program is to stop, some seconds before the HTTP server
// refuses connections, so that load balancers send no more requests here.
func (f *Fleet) Unready() { f.stopping.Store(true) }

// ReadyHandler answers a readiness probe: 200 if Check returns nil within 3 s, and else 503. The cause goes to
// Config.Logger and not to the client.
func (f *Fleet) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
		defer cancel()
		w.Header().Set("Cache-Control", "no-store")
		if err := f.Check(ctx); err != nil {
			f.log.LogAttrs(ctx, slog.LevelWarn, "fleet: not ready", slog.String("error", pgerr.Redact(err).Error()))
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
}

// unready is the error of a probe.
type unready string

// Error says why.
func (e unready) Error() string { return "fleet: " + string(e) }

// HTTPStatus is for middleware.StatusCode.
func (unready) HTTPStatus() int { return status.Unavailable }
