package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"

	"github.com/pgtenancy/pgtenancy/middleware"
)

// recovered answers 500 for a handler that panics. Where and why goes to the log, but for the value: it may hold
// anything. An answer that was begun is broken off instead.
func recovered(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := &statusWriter{ResponseWriter: w}
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler)
			}
			log.LogAttrs(r.Context(), slog.LevelError, "handler panicked", slog.String("route", r.Pattern),
				slog.String("panic", describe(value)), slog.String("stack", string(debug.Stack())))
			if begun.status != 0 {
				panic(http.ErrAbortHandler)
			}
			middleware.Problem{
				Title: http.StatusText(http.StatusInternalServerError), Status: http.StatusInternalServerError,
			}.Write(w)
		}()
		next.ServeHTTP(begun, r)
	})
}

// describe describes the panic's value, without the values in it.
func describe(value any) string {
	if err, ok := value.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", value)
}
