package main

import "net/http"

// table is a mux that lists its routes, which http.ServeMux does not.
type table struct {
	*http.ServeMux
	mounted func(pattern string)
}

// Handle mounts h.
func (t table) Handle(pattern string, h http.Handler) {
	if t.mounted != nil {
		t.mounted(pattern)
	}
	t.ServeMux.Handle(pattern, h)
}

// HandleFunc mounts h.
func (t table) HandleFunc(pattern string, h http.HandlerFunc) { t.Handle(pattern, h) }
