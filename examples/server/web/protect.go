package web

import (
	"errors"
	"net/http"
)

const maxForm = 1 << 20

// protect sets the headers that keep a browser from doing what no page here asks for, refuses forms that were sent from
// other sites, and bounds the body.
func (s *site) protect(next http.Handler) http.Handler {
	checked := http.NewCrossOriginProtection().Handler(s.parse(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; "+
			"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		checked.ServeHTTP(w, r)
	})
}

// parse reads the form, because PostFormValue takes an unreadable form for an empty one.
func (s *site) parse(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := r.ParseForm()
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			s.show(w, r, http.StatusRequestEntityTooLarge, "message",
				notice{Title: "Too large", Text: "A form must not be larger than 1 MiB."})
			return
		}
		if err != nil {
			s.show(w, r, http.StatusBadRequest, "message", notice{Title: "Not understood", Text: "The form is damaged."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// cache lets a browser keep files that are the same for everyone.
func cache(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		next.ServeHTTP(w, r)
	})
}
