package ginmw_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/pgtenancy/pgtenancy/middleware/ginmw"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// gin.Recovery takes the panic that keeps net/http from answering. A server that shuts down cancels requests too, and
// their clients must not read 200.
func TestClientThatHasGoneIsNotAnsweredWithSuccess(t *testing.T) {
	m, resolver := newMiddleware()
	defer resolver.Close(context.WithoutCancel(t.Context()))
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.RecoveryWithWriter(io.Discard))
	router.GET("/t/:tenant", ginmw.New(m), func(*gin.Context) { t.Error("the handler was called") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/t/acme", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("answered %d", w.Code)
	}
}

func TestHandlersOutsideDoNotSeeAReleasedLease(t *testing.T) {
	m, resolver := newMiddleware()
	defer resolver.Close(context.WithoutCancel(t.Context()))
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(func(c *gin.Context) {
		c.Next()
		if _, ok := tenancy.FromContext(c.Request.Context()); ok {
			t.Error("a lease that is released")
		}
	})
	router.GET("/t/:tenant", ginmw.New(m), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/t/acme", nil))
	if w.Code != http.StatusNoContent || resolver.Stat().Leases() != 0 {
		t.Errorf("answered %d, %d leases", w.Code, resolver.Stat().Leases())
	}
}
