package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pgtenancy/pgtenancy/examples/server/church"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const (
	// MaxBody is the largest body that the API reads, in bytes.
	MaxBody = 1 << 20

	// maxCredentials is the largest body with a password or a token. Everybody may send such a body.
	maxCredentials = 4 << 10
)

// decode reads the one JSON object of the body into to. It refuses text that is not UTF-8 or has the character U+FFFD,
// which encoding/json puts in the place of invalid bytes: many passwords would be one.
func decode(w http.ResponseWriter, r *http.Request, to any) error {
	return decodeUpTo(MaxBody, w, r, to)
}

// decodeUpTo is decode of a body of at most limit bytes.
func decodeUpTo(limit int64, w http.ResponseWriter, r *http.Request, to any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return decodeError(err)
	}
	if replaced(body) {
		return errMalformed
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return decodeError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return decodeError(err)
	}
	return nil
}

// replaced reports whether a string in the JSON of body has the character U+FFFD when it is read.
func replaced(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if s, ok := token.(string); ok && strings.ContainsRune(s, utf8.RuneError) {
			return true
		}
		if err != nil {
			return false // the end, or what Decode says more of
		}
	}
}

// decodeError describes the fault of a body, without quoting it.
func decodeError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return &church.InputError{Fields: map[string]string{e.Field: "must not be a " + word(e.Value)}}
	}
	if err != nil {
		// The standard library has no type for this error; an unquoted name falls through to "malformed".
		name, ok := strings.CutPrefix(err.Error(), "json: unknown field ")
		if name, unquoteErr := strconv.Unquote(name); ok && unquoteErr == nil {
			return &church.InputError{Fields: map[string]string{name: "is not a field that is known here"}}
		}
	}
	return errMalformed
}

// word is the kind of a JSON value; encoding/json describes a number together with its digits.
func word(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	return kind
}

// encode answers with a JSON object. It gives the lease of r back before: how long the client takes to read is not the
// tenant's business.
func encode(w http.ResponseWriter, r *http.Request, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if lease, ok := tenancy.FromContext(r.Context()); ok {
		lease.Release()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client has gone: there is no one to tell
	return nil
}
