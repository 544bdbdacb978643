package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// taken is how an error of another package says what it is.
type taken struct{}

func (taken) Error() string                    { return "e-mail ada@example.com is taken" }
func (taken) HTTPStatus() int                  { return http.StatusConflict }
func (taken) InvalidFields() map[string]string { return map[string]string{"email": "is taken"} }

type throttled struct{ after time.Duration }

func (throttled) Error() string               { return "throttled" }
func (throttled) HTTPStatus() int             { return http.StatusTooManyRequests }
func (e throttled) RetryAfter() time.Duration { return e.after }

func state(s tenancy.State) error { return &tenancy.StateError{ID: "acme", State: s} }

func TestEveryErrorHasItsStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 200},
		{authn.ErrTokenMissing, 401},
		{authn.ErrTokenExpired, 401},
		{authn.ErrTokenInvalid, 401},
		{state(tenancy.Suspended), 403},
		{tenancy.ErrSuspended, 403},
		{middleware.ErrNoTenant, 404},
		{middleware.ErrMisaddressed, 404},
		{middleware.ErrTenantMismatch, 404},
		{tenancy.ErrInvalidID, 404},
		{tenancy.ErrNotFound, 404},
		{state(tenancy.Deleting), 404},
		{state(tenancy.Failing), 404},
		{taken{}, 409},
		{authn.ErrPasswordTooShort, 422},
		{authn.ErrPasswordTooLong, 422},
		{authn.ErrPasswordCommon, 422},
		{throttled{}, 429},
		{context.Canceled, middleware.StatusClientGone},
		{errors.New("boom"), 500},
		{authn.ErrInvalidHash, 500},
		{state(tenancy.Provisioning), 503},
		{state(tenancy.Moving), 503},
		{state(""), 503},
		{tenancy.ErrAtCapacity, 503},
		{tenancy.ErrFenced, 503},
		{tenancy.ErrServerDown, 503},
		{tenancy.ErrClosed, 503},
		{authn.ErrBusy, 503},
		{context.DeadlineExceeded, 503},
		{middleware.ErrUnavailable, 503},
	} {
		if got := middleware.StatusCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
		if got := middleware.StatusCode(fmt.Errorf("list members: %w", c.err)); c.err != nil && got != c.want {
			t.Errorf("%v, wrapped: %d, want %d", c.err, got, c.want)
		}
	}
}

func write(t *testing.T, err error) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	w.Header().Set("Etag", "of another body")
	w.Header().Set("Content-Encoding", "gzip")
	middleware.WriteProblem(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), err)
	return w
}

func TestProblemsTellNothingOfTheError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err     error
		body    string
		headers http.Header
	}{
		{errors.New(`password "hunter2" of postgres://acme`), `{"title":"Internal Server Error","status":500}`, nil},
		{fmt.Errorf("%w: acme", tenancy.ErrNotFound), `{"title":"Not Found","status":404}`, nil},
		{
			authn.ErrTokenMissing, `{"title":"Unauthorized","status":401}`, http.Header{"Www-Authenticate": {"Bearer"}},
		},
		{
			authn.ErrTokenExpired, `{"title":"Unauthorized","status":401}`,
			http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}},
		},
		{state(tenancy.Suspended), `{"title":"Forbidden","status":403,"detail":"This account is suspended."}`, nil},
		{taken{}, `{"title":"Conflict","status":409,"fields":{"email":"is taken"}}`, nil},
		{
			authn.ErrPasswordTooShort,
			`{"title":"Unprocessable Entity","status":422,"fields":{"password":"must have at least 8 characters"}}`, nil,
		},
	} {
		w := write(t, c.err)
		if w.Body.String() != c.body {
			t.Errorf("%v: %s, want %s", c.err, w.Body, c.body)
		}
		want := http.Header{
			"Content-Type":           {"application/problem+json"},
			"Cache-Control":          {"no-store"},
			"X-Content-Type-Options": {"nosniff"},
		}
		for name, values := range c.headers {
			want[name] = values
		}
		if diff := cmp.Diff(want, w.Header()); diff != "" {
			t.Errorf("%v: headers (-want +got)\n%s", c.err, diff)
		}
		var p middleware.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code {
			t.Errorf("%v: status %d with %+v, %v", c.err, w.Code, p, err)
		}
	}
}

func TestRetryAfterIsSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err       error
		low, high int
	}{
		{tenancy.ErrAtCapacity, 1, 3},
		{tenancy.ErrFenced, 1, 3},
		{state(tenancy.Moving), 1, 3},
		{context.Canceled, 1, 3}, // though the request was not
		{throttled{}, 1, 3},
		{throttled{-time.Hour}, 1, 3},
		{throttled{time.Minute}, 60, 90},
	} {
		seen := map[int]bool{}
		for range 200 {
			w := write(t, c.err)
			after, err := strconv.Atoi(w.Header().Get("Retry-After"))
			if err != nil || after < c.low || after > c.high || w.Code < 429 {
				t.Fatalf("%v: %d, Retry-After %q, want %d to %d", c.err, w.Code, w.Header().Get("Retry-After"), c.low, c.high)
			}
			seen[after] = true
		}
		if len(seen) < 2 {
			t.Errorf("%v: always %v", c.err, seen)
		}
	}
}

func TestClientThatHasGoneGetsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	panicked := func() (err error) {
		defer func() { err, _ = recover().(error) }()
		middleware.WriteProblem(w, r, fmt.Errorf("query: %w", context.Canceled))
		return nil
	}()
	if !errors.Is(panicked, http.ErrAbortHandler) || w.Body.Len() != 0 || len(w.Header()) != 0 {
		t.Errorf("panic %v, %q %q", panicked, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	middleware.WriteProblem(w, r, tenancy.ErrSuspended)
	if w.Code != http.StatusForbidden {
		t.Errorf("another error: %d", w.Code)
	}
}

func TestPlainProblemsCanBeWritten(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	middleware.Problem{Type: "https://example.com/quota", Title: "Quota", Status: 429, Detail: "No more members."}.Write(w)
	const want = `{"type":"https://example.com/quota","title":"Quota","status":429,"detail":"No more members."}`
	if w.Code != 429 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !slices.Equal(w.Header().Values("Cache-Control"), []string{"no-store"}) {
		t.Errorf("headers %q", w.Header())
	}
}
