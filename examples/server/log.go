package main

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"
)

// logged writes a line for each request: the route rather than the path, because a path, like a query, may hold
// anything.
func logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, sw := time.Now(), &statusWriter{ResponseWriter: w}
		defer func() {
			log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("route", r.Pattern),
				slog.Int("status", cmp.Or(sw.status, http.StatusOK)), slog.Duration("took", time.Since(began)))
		}()
		next.ServeHTTP(sw, r)
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int // 0 until the answer is begun
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the writer behind.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
