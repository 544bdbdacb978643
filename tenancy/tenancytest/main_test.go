package tenancytest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
	"github.com/pgtenancy/pgtenancy/tenancy/tenancytest"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(childVariable); what != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(stopping{m})
}

// stopping ends the server before goroutines are counted.
type stopping struct{ *testing.M }

func (s stopping) Run() int {
	code := s.M.Run()
	if err := tenancytest.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

const notesTable = "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL);"

func notesConfig() tenancytest.Config { return tenancytest.Config{Schema: tenancytest.SQL(notesTable)} }

// listNotes and addNote are the service that the tests are about.
func listNotes(w http.ResponseWriter, r *http.Request) {
	var notes *string
	err := tenancy.MustFromContext(r.Context()).Pool().
		QueryRow(r.Context(), "SELECT string_agg(text, ',' ORDER BY id) FROM notes").Scan(&notes)
	if err != nil {
		middleware.WriteProblem(w, r, err)
		return
	}
	if notes != nil {
		fmt.Fprint(w, *notes)
	}
}

func addNote(w http.ResponseWriter, r *http.Request) {
	_, err := tenancy.MustFromContext(r.Context()).Pool().
		Exec(r.Context(), "INSERT INTO notes (text) VALUES ($1)", r.FormValue("text"))
	if err != nil {
		middleware.WriteProblem(w, r, err)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// service is the whole of it: the tenant is in the path, and the middleware leases its pool.
func service(t *testing.T, resolver *tenancy.Resolver) http.Handler {
	t.Helper()
	tenants, err := middleware.New(middleware.Config{
		Resolver: resolver, Identify: middleware.FromPathValue("tenant"), Public: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{tenant}/notes", tenants.Handler(http.HandlerFunc(listNotes)))
	mux.Handle("POST /{tenant}/notes", tenants.Handler(http.HandlerFunc(addNote)))
	return mux
}

// get asks for a tenant's notes, and returns status and body.
func get(t *testing.T, h http.Handler, id tenancy.ID) (int, string) {
	t.Helper()
	return request(h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+string(id)+"/notes", nil))
}

func request(h http.Handler, r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// test is a testing.TB that keeps what the tested code reports, and panics where a test ends.
type test struct {
	testing.TB

	mu       sync.Mutex // guards what follows
	lines    []string
	cleanups []func()
}

func (tt *test) add(line string) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.lines = append(tt.lines, line)
}

func (tt *test) Errorf(format string, args ...any) { tt.add(fmt.Sprintf(format, args...)) }
func (tt *test) Cleanup(f func())                  { tt.cleanups = append(tt.cleanups, f) }
func (tt *test) Fatal(args ...any)                 { tt.add(fmt.Sprint(args...)); panic(tt) }
func (tt *test) Fatalf(format string, args ...any) { tt.Fatal(fmt.Sprintf(format, args...)) }

// reported runs f as a test of its own, and returns what that test reports.
func reported(t *testing.T, f func(tb testing.TB)) string {
	t.Helper()
	tt := &test{TB: t}
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(tt) {
				panic(v)
			}
		}()
		f(tt)
	}()
	for i := len(tt.cleanups) - 1; i >= 0; i-- {
		tt.cleanups[i]()
	}
	return strings.Join(tt.lines, "\n")
}
