package middleware

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// readBody reads r's body if Config.BodyFirst is set, and returns a request that has it in memory. If the body is too
// large, w closes the connection. It is called before a lease is acquired: a client decides how long its body takes,
// and must not decide how long a tenant's pool is in use.
func (m *Middleware) readBody(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	if m.cfg.BodyFirst == 0 || r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	if r.ContentLength > m.cfg.BodyFirst {
		return nil, ErrBodyTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, m.cfg.BodyFirst))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, ErrBodyTooLarge
	case err != nil && r.Context().Err() != nil:
		return nil, r.Context().Err()
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBodyIncomplete, err)
	}
	withBody := *r
	withBody.Body = io.NopCloser(bytes.NewReader(body))
	return &withBody, nil
}
