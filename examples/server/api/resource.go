package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/examples/server/church"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

// service is one noun of package church.
type service[T, In any] interface {
	Create(ctx context.Context, db *pgxpool.Pool, in In) (T, error)
	Get(ctx context.Context, db *pgxpool.Pool, id string) (T, error)
	List(ctx context.Context, db *pgxpool.Pool, after church.Cursor, limit int) ([]T, error)
	Update(ctx context.Context, db *pgxpool.Pool, id string, in In) (T, error)
	Delete(ctx context.Context, db *pgxpool.Pool, id string) error
}

type record interface{ Cursor() church.Cursor }

// resource adds the five routes of one noun.
func resource[T record, In any](a *api, mux Mux, path string, s service[T, In]) {
	route := func(pattern string, h handler) { mux.Handle(pattern, a.leased(h)) }
	mux.Handle(path, a.open(notAllowed("GET, POST")))
	mux.Handle(path+"/{id}", a.open(notAllowed("GET, PUT, DELETE")))
	route("GET "+path, list(func(r *http.Request, db *pgxpool.Pool, after church.Cursor, limit int) ([]T, error) {
		return s.List(r.Context(), db, after, limit)
	}))
	route("POST "+path, onPool(func(w http.ResponseWriter, r *http.Request, db *pgxpool.Pool) error {
		var in In
		if err := decode(w, r, &in); err != nil {
			return err
		}
		made, err := s.Create(r.Context(), db, in)
		return answer(w, r, http.StatusCreated, made, err)
	}))
	route("GET "+path+"/{id}", onPool(func(w http.ResponseWriter, r *http.Request, db *pgxpool.Pool) error {
		found, err := s.Get(r.Context(), db, r.PathValue("id"))
		return answer(w, r, http.StatusOK, found, err)
	}))
	route("PUT "+path+"/{id}", onPool(func(w http.ResponseWriter, r *http.Request, db *pgxpool.Pool) error {
		var in In
		if err := decode(w, r, &in); err != nil {
			return err
		}
		changed, err := s.Update(r.Context(), db, r.PathValue("id"), in)
		return answer(w, r, http.StatusOK, changed, err)
	}))
	route("DELETE "+path+"/{id}", onPool(func(w http.ResponseWriter, r *http.Request, db *pgxpool.Pool) error {
		if err := s.Delete(r.Context(), db, r.PathValue("id")); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}))
}

// notAllowed answers the methods that a path does not have.
func notAllowed(allow string) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allow)
		return errMethod
	}
}

// onPool gives a handler the pool of the caller's own database.
func onPool(h func(w http.ResponseWriter, r *http.Request, db *pgxpool.Pool) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		lease, ok := tenancy.FromContext(r.Context())
		if !ok {
			return errors.New("api: request without a lease")
		}
		return h(w, r, lease.Pool())
	}
}

// list answers with one page.
func list[T record](read func(r *http.Request, db *pgxpool.Pool, after church.Cursor, limit int) ([]T, error)) handler {
	return onPool(func(w http.ResponseWriter, r *http.Request, db *pgxpool.Pool) error {
		after, err := church.ParseCursor(r.URL.Query().Get("cursor"))
		if err != nil {
			return err
		}
		limit, err := parseLimit(r.URL.Query().Get("limit"))
		if err != nil {
			return err
		}
		items, err := read(r, db, after, limit+1)
		return answer(w, r, http.StatusOK, cut(items, limit), err)
	})
}

// under makes the list of what belongs to the record that the path names.
func under[T any](
	read func(context.Context, *pgxpool.Pool, string, church.Cursor, int) ([]T, error),
) func(*http.Request, *pgxpool.Pool, church.Cursor, int) ([]T, error) {
	return func(r *http.Request, db *pgxpool.Pool, after church.Cursor, limit int) ([]T, error) {
		return read(r.Context(), db, r.PathValue("id"), after, limit)
	}
}

type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// cut makes a page of limit items; one more than that tells that there is a next one.
func cut[T record](items []T, limit int) page[T] {
	if len(items) <= limit {
		return page[T]{Items: append([]T{}, items...)}
	}
	return page[T]{Items: items[:limit], Next: items[limit-1].Cursor().String()}
}

func parseLimit(s string) (int, error) {
	if s == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxLimit {
		return 0, wrongField("limit", "must be 1 to 200")
	}
	return n, nil
}

func answer(w http.ResponseWriter, r *http.Request, status int, v any, err error) error {
	if err != nil {
		return err
	}
	return encode(w, r, status, v)
}
