package api

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/examples/server/church"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/registry"
)

var (
	errMalformed = errors.New("api: malformed body")
	errTooLarge  = errors.New("api: body too large")
	errNoRoute   = errors.New("api: no such route")
	errMethod    = errors.New("api: method not allowed")
	errForbidden = errors.New("api: role does not allow this")
	errCrossSite = errors.New("api: request of another site")
)

// problemOf returns the answer to an error of this service, and to a taken e-mail, whose wording its clients know.
// Every other error of the library knows its answer.
func problemOf(err error) (status int, title, detail string) {
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case is(errMalformed):
		return http.StatusBadRequest, "Malformed body", "The body must be one JSON object."
	case is(errTooLarge), is(middleware.ErrBodyTooLarge):
		return http.StatusRequestEntityTooLarge, "Body too large", "The body must not be larger than 1 MiB, or 4 KiB with a password or a token."
	case is(errNoRoute), is(church.ErrNotFound):
		return http.StatusNotFound, http.StatusText(http.StatusNotFound), ""
	case is(errMethod):
		return http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed), ""
	case is(errForbidden):
		return http.StatusForbidden, "Forbidden", "Only the church's primary admin may do this."
	case is(errCrossSite):
		return http.StatusForbidden, "Forbidden", "Pages of other sites may not do this."
	case is(church.ErrInUse):
		return http.StatusConflict, "Still in use", "Other records need this one."
	case is(church.ErrSent):
		return http.StatusConflict, "Already sent", "A message that was sent cannot be changed."
	case is(registry.ErrEmailBusy):
		return 0, "", "" // it matches ErrEmailTaken too, and says itself what it is
	case is(registry.ErrEmailTaken):
		return http.StatusConflict, "E-mail taken", "This e-mail address has an account already."
	}
	return 0, "", ""
}

// Fields returns the fault of each field, if err names any, in the words of the JSON and of the forms.
func Fields(err error) map[string]string {
	if e, ok := errors.AsType[*church.InputError](err); ok {
		return e.Fields
	}
	e, ok := errors.AsType[*accounts.InputError](err)
	if !ok {
		return nil
	}
	fields := map[string]string{}
	for name, text := range e.Fields {
		if name == "organization" {
			name = "churchName"
		}
		fields[name] = text
	}
	return fields
}

// problem answers a request that failed with err. It logs the server's own faults, and does not tell the client.
func (a *api) problem(w http.ResponseWriter, r *http.Request, err error) {
	if fields := Fields(err); fields != nil {
		middleware.Problem{Title: "Some fields are wrong", Status: http.StatusUnprocessableEntity, Fields: fields}.Write(w)
		return
	}
	status, title, detail := problemOf(err)
	if status != 0 {
		middleware.Problem{Title: title, Status: status, Detail: detail}.Write(w)
		return
	}
	if middleware.StatusCode(err) >= http.StatusInternalServerError {
		a.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("route", r.Pattern),
			slog.String("error", err.Error()))
	}
	middleware.WriteProblem(w, r, err)
}
