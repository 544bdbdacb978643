package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/netip"
)

// traced gives each request an id, which is in its answer and, with the client's address, in every line of the log that
// is written for it.
func traced(addr func(*http.Request) netip.Addr, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := trace{id: rand.Text()}
		if a := addr(r); a.IsValid() {
			t.client = a.String()
		}
		w.Header().Set("X-Request-Id", t.id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), traceKey{}, t)))
	})
}

type traceKey struct{}

type trace struct{ id, client string }

// tracing is a handler of the log that adds what traced has put into the context.
type tracing struct{ slog.Handler }

// Handle implements slog.Handler.
func (h tracing) Handle(ctx context.Context, r slog.Record) error {
	if t, ok := ctx.Value(traceKey{}).(trace); ok {
		r.AddAttrs(slog.String("request", t.id))
		if t.client != "" {
			r.AddAttrs(slog.String("client", t.client))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h tracing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracing{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h tracing) WithGroup(name string) slog.Handler { return tracing{h.Handler.WithGroup(name)} }

// unchunked has the connection of a request with Transfer-Encoding closed after the answer. If it had Content-Length
// too, which net/http takes away without a word, a proxy in front may have read another request out of the same bytes
// (RFC 9112, section 6.1).
func unchunked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
