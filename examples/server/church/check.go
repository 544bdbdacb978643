package church

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	emailShape = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
	phoneShape = regexp.MustCompile(`^\+?[0-9][0-9 ()./-]{4,24}$`)
)

// check collects the faults of an input, by field. Its methods also trim the values they look at.
type check map[string]string

// err returns an *InputError if anything is wrong.
func (c check) err() error {
	if len(c) == 0 {
		return nil
	}
	return &InputError{Fields: c}
}

// text demands between low and high characters.
func (c check) text(field string, s *string, low, high int) {
	*s = strings.TrimSpace(*s)
	switch n := utf8.RuneCountInString(*s); {
	case strings.ContainsRune(*s, 0):
		c[field] = "must not contain a NUL character"
	case n == 0 && low > 0:
		c[field] = "is required"
	case n < low, n > high:
		c[field] = fmt.Sprintf("must have %d to %d characters", low, high)
	}
}

// optional makes an empty value nil, and demands at most high characters of any other.
func (c check) optional(field string, s **string, high int) {
	if *s == nil {
		return
	}
	c.text(field, *s, 0, high)
	if **s == "" {
		*s = nil
	}
}

// email demands the shape of an address, if there is a value.
func (c check) email(field string, s **string) {
	c.optional(field, s, 254)
	if *s != nil && c[field] == "" && !emailShape.MatchString(**s) {
		c[field] = "is not an e-mail address"
	}
}

// phone demands the shape of a telephone number, if there is a value.
func (c check) phone(field string, s **string) {
	c.optional(field, s, 26)
	if *s != nil && c[field] == "" && !phoneShape.MatchString(**s) {
		c[field] = "is not a phone number: digits, spaces and ()./- with an optional leading +"
	}
}

// choice demands one of the values. The first of them stands for an empty one.
func (c check) choice(field string, s *string, values ...string) {
	if *s == "" {
		*s = values[0]
	}
	if !slices.Contains(values, *s) {
		c[field] = "must be one of " + strings.Join(values, ", ")
	}
}

// moment demands a time as RFC 3339 writes it.
func (c check) moment(field, s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	switch {
	case s == "":
		c[field] = "is required"
	case err != nil || t.Year() < 2000 || t.Year() > 2200:
		c[field] = "must be a time between 2000 and 2200, like 2026-01-31T09:30:00Z"
	}
	return t
}
