package web

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// field is one input of a form, and its fault.
type field struct {
	Name, Label, Type, Autocomplete, Hint string
	Value, Error                          string
	Required                              bool
	Choices                               []choice // a list to choose from, if there is one
}

type choice struct{ Value, Label string }

// form is a form as the template shows it.
type form struct {
	Action, Submit string
	Key            string // makes sending it twice safe
	Error          string // the fault of the form as a whole
	Fields         []field
}

// fill puts in the typed values, but for passwords, and their faults.
func (f form) fill(r *http.Request, wrong map[string]string) form {
	for i := range f.Fields {
		field := &f.Fields[i]
		field.Error = wrong[field.Name]
		if field.Type != "password" {
			field.Value = r.PostFormValue(field.Name)
		}
	}
	return f
}

// show writes a page. It is rendered first, so that a mistake in a template cannot leave half a page.
func (s *site) show(w http.ResponseWriter, r *http.Request, status int, page string, data any) {
	var body bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&body, "base", data); err != nil {
		s.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "page not rendered", slog.String("page", page),
			slog.String("error", err.Error()))
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the browser has gone: there is no one to tell
}

// notice is a page that says one thing.
type notice struct {
	Title, Text string
	SignedIn    bool
}

func (s *site) missing(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusNotFound, "message", notice{Title: "Not found", Text: "There is no such page."})
}

// refuse answers a request that did not get in: to the sign-in, or with a page that says why not.
func (s *site) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the browser has gone
	}
	throttled, tooMany := errors.AsType[*accounts.ThrottledError](err)
	switch status := middleware.StatusCode(err); {
	case tooMany:
		w.Header().Set("Retry-After", strconv.Itoa(int(throttled.RetryAfter()/time.Second)+1))
		s.show(w, r, status, "message", notice{Title: "Too many attempts", Text: "Please wait a while and try again."})
	case errors.Is(err, middleware.ErrMisaddressed), errors.Is(err, tenancy.ErrInvalidID):
		s.missing(w, r) // nowhere to sign in either
	case status == http.StatusUnauthorized, status == http.StatusNotFound, errors.Is(err, accounts.ErrInvalidSession):
		clearCookies(w)
		http.Redirect(w, r, "/signin", http.StatusSeeOther)
	case errors.Is(err, tenancy.ErrSuspended):
		s.show(w, r, status, "message", notice{Title: "Suspended", Text: "This church's account is suspended."})
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "2")
		s.show(w, r, status, "message",
			notice{Title: "One moment", Text: "The church's database is not ready. Please try again."})
	default:
		s.fail(w, r, err)
	}
}

// fail answers what should not have happened.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "page failed", slog.String("route", r.Pattern),
		slog.String("error", err.Error()))
	s.show(w, r, http.StatusInternalServerError, "message",
		notice{Title: "Something went wrong", Text: "It is not your fault. Please try again."})
}
