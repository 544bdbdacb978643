package conformance_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	fiberv2 "github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v3"
	"github.com/gorilla/mux"
	"github.com/julienschmidt/httprouter"
	"github.com/labstack/echo/v4"
	echov5 "github.com/labstack/echo/v5"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/middleware/echomw"
	"github.com/pgtenancy/pgtenancy/middleware/fibermw"
	"github.com/pgtenancy/pgtenancy/middleware/fiberv2mw"
	"github.com/pgtenancy/pgtenancy/middleware/ginmw"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// routers start servers with the routes /t/<tenant>/whoami, panic and stream behind m. They return the URL.
var routers = map[string]func(t *testing.T, m *middleware.Middleware) string{
	"net/http": func(t *testing.T, m *middleware.Middleware) string {
		r := http.NewServeMux()
		for name, h := range handlers {
			r.Handle("GET /t/{tenant}/"+name, m.Handler(h))
		}
		return listen(t, r)
	},
	"chi": func(t *testing.T, m *middleware.Middleware) string {
		r := chi.NewRouter()
		r.Route("/t/{tenant}", func(r chi.Router) {
			r.Use(m.Handler)
			for name, h := range handlers {
				r.Get("/"+name, h)
			}
		})
		return listen(t, r)
	},
	"gorilla": func(t *testing.T, m *middleware.Middleware) string {
		r := mux.NewRouter()
		tenants := r.PathPrefix("/t/{tenant}").Subrouter()
		tenants.Use(pathValues, m.Handler)
		for name, h := range handlers {
			tenants.HandleFunc("/"+name, h).Methods(http.MethodGet)
		}
		return listen(t, r)
	},
	"httprouter": func(t *testing.T, m *middleware.Middleware) string {
		r := httprouter.New()
		for name, h := range handlers {
			tenant := m.Handler(h)
			r.GET("/t/:tenant/"+name, func(w http.ResponseWriter, r *http.Request, p httprouter.Params) {
				r.SetPathValue("tenant", p.ByName("tenant"))
				tenant.ServeHTTP(w, r)
			})
		}
		return listen(t, r)
	},
	"gin": func(t *testing.T, m *middleware.Middleware) string {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.Use(gin.RecoveryWithWriter(io.Discard))
		tenants := r.Group("/t/:tenant", ginmw.New(m))
		for name, h := range handlers {
			tenants.GET("/"+name, func(c *gin.Context) { h(c.Writer, c.Request) })
		}
		return listen(t, r)
	},
	"echo": func(t *testing.T, m *middleware.Middleware) string {
		e := echo.New()
		tenants := e.Group("/t/:tenant", echomw.New(m))
		for name, h := range handlers {
			tenants.GET("/"+name, echo.WrapHandler(h))
		}
		return listen(t, e)
	},
	"echo v5": func(t *testing.T, m *middleware.Middleware) string {
		e := echov5.New()
		tenants := e.Group("/t/:tenant", echov5.WrapMiddleware(m.Handler))
		for name, h := range handlers {
			tenants.GET("/"+name, echov5.WrapHandler(h))
		}
		return listen(t, e)
	},
	"fiber v3": func(t *testing.T, m *middleware.Middleware) string {
		app := fiber.New()
		tenant := fibermw.New(m)
		app.Use(func(c fiber.Ctx) (err error) {
			defer func() {
				if recover() != nil {
					err = fiber.ErrInternalServerError
				}
			}()
			return c.Next()
		})
		app.Get("/t/:tenant/whoami", tenant, func(c fiber.Ctx) error {
			answer, err := whoami(c.Context())
			if err != nil {
				return err
			}
			return c.SendString(answer)
		})
		app.Get("/t/:tenant/panic", tenant, func(fiber.Ctx) error { panic("a handler's") })
		app.Get("/t/:tenant/stream", tenant, func(c fiber.Ctx) error {
			lease := fibermw.Keep(c)
			return c.SendStreamWriter(func(w *bufio.Writer) { writeStream(w, lease) })
		})
		return serveFasthttp(t, func(l net.Listener) error {
			return app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
		}, app.Shutdown)
	},
	"fiber v2": func(t *testing.T, m *middleware.Middleware) string {
		app := fiberv2.New(fiberv2.Config{DisableStartupMessage: true})
		tenant := fiberv2mw.New(m)
		app.Use(func(c *fiberv2.Ctx) (err error) {
			defer func() {
				if recover() != nil {
					err = fiberv2.ErrInternalServerError
				}
			}()
			return c.Next()
		})
		app.Get("/t/:tenant/whoami", tenant, func(c *fiberv2.Ctx) error {
			answer, err := whoami(c.UserContext())
			if err != nil {
				return err
			}
			return c.SendString(answer)
		})
		app.Get("/t/:tenant/panic", tenant, func(*fiberv2.Ctx) error { panic("a handler's") })
		app.Get("/t/:tenant/stream", tenant, func(c *fiberv2.Ctx) error {
			lease := fiberv2mw.Keep(c)
			c.Context().SetBodyStreamWriter(func(w *bufio.Writer) { writeStream(w, lease) })
			return nil
		})
		return serveFasthttp(t, app.Listener, app.Shutdown)
	},
}

// pathValues gives requests the wildcards of gorilla's route as path values.
func pathValues(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range mux.Vars(r) {
			r.SetPathValue(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// handlers are those of routers that take net/http's.
var handlers = map[string]http.HandlerFunc{
	"whoami": func(w http.ResponseWriter, r *http.Request) {
		answer, err := whoami(r.Context())
		if err != nil {
			http.Error(w, "no answer", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, answer)
	},
	"panic": func(http.ResponseWriter, *http.Request) { panic("a handler's") },
	"stream": func(w http.ResponseWriter, r *http.Request) {
		lease := tenancy.MustFromContext(r.Context())
		_, _ = io.WriteString(w, "begun\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-lease.Done():
		case <-r.Context().Done():
		}
	},
}

// whoami asks the tenant's database for its name.
func whoami(ctx context.Context) (name string, err error) {
	err = tenancy.MustFromContext(ctx).Pool().QueryRow(ctx, "SELECT current_database()").Scan(&name)
	return name, err
}

// writeStream is the stream of a server that does not say when its client has gone: it finds out by writing.
func writeStream(w *bufio.Writer, lease *tenancy.Lease) {
	defer lease.Release()
	beat := time.NewTicker(20 * time.Millisecond) // a service's is seconds
	defer beat.Stop()
	line := "begun\n"
	for {
		_, _ = w.WriteString(line)
		if w.Flush() != nil {
			return
		}
		select {
		case <-lease.Done():
			return
		case <-beat.C:
			line = ": beat\n" // a comment, in server-sent events
		}
	}
}

func listen(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = discard()
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func serveFasthttp(t *testing.T, serve func(net.Listener) error, shutdown func() error) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(l) }()
	t.Cleanup(func() {
		if err := shutdown(); err != nil {
			t.Error(err)
		}
		<-done //nolint:errcheck // the end of serving is an error for some
	})
	return "http://" + l.Addr().String()
}
