package pgtest

import "unsafe"

// Reused is memory that is used again and again for the strings of one request after another, as fasthttp does. What
// keeps one of its strings finds another text in it later.
type Reused struct {
	memory [4096]byte
	used   int
}

// String returns a string of this text that is good until Next.
func (r *Reused) String(text string) string {
	if text == "" {
		return ""
	}
	place := r.memory[r.used:][:len(text)]
	r.used += copy(place, text)
	return unsafe.String(&place[0], len(place)) //nolint:gosec // a string that changes is what it is for
}

// Next overwrites every string that was returned, and starts from the beginning.
func (r *Reused) Next() {
	for i := range r.used {
		r.memory[i] = '#'
	}
	r.used = 0
}
