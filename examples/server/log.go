package main

import (
	"log/slog"
	"net/http"
	"time"
)

// logged writes a line for each request: the route rather than the path, because a path, like a query, may hold anything.
func logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, sw := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(sw, r)
		log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("route", r.Pattern),
			slog.Int("status", sw.status), slog.Duration("took", time.Since(began)))
	})
}

// statusWriter remembers the status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the writer behind.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
