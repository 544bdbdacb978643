package registry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unique"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

const redacted = "[redacted]"

// Email is an address that passed [ParseEmail]. The zero Email is no address. Under every fmt verb, in slog and in
// JSON it reads "[redacted]"; only [Email.Reveal] returns the address. Emails are equal (==) if they were typed alike;
// they identify the same person if their normalized forms are equal, which is what the registry goes by.
type Email struct {
	// Handles, because fmt cannot call Format on an Email in an unexported field: there it prints two pointers.
	address    unique.Handle[string] // as typed, without spaces around it
	normalized unique.Handle[string] // what identity is decided by
}

// ParseEmail returns s as an Email, or [ErrInvalidEmail] without the address.
//
// It refuses what it would otherwise have to guess at: display names, comments, quoted or non-ASCII local parts,
// address literals, and spellings of a domain that IDNA would map to another one. The rest is compared by its
// lower-cased local part and its domain in ASCII (A-label) form; dots and "+tags" in the local part count.
func ParseEmail(s string) (Email, error) {
	address := strings.TrimSpace(s)
	normalized, ok := regdb.NormalizeEmail(address)
	if !ok {
		return Email{}, ErrInvalidEmail
	}
	return Email{address: unique.Make(address), normalized: unique.Make(normalized)}, nil
}

// Reveal returns the address as it was typed. Keep it out of logs and errors.
func (e Email) Reveal() string {
	if e.IsZero() {
		return ""
	}
	return e.address.Value()
}

// Equal reports whether e and other were typed alike, as == does. Packages that compare by reflection call it.
func (e Email) Equal(other Email) bool { return e == other }

// IsZero reports whether e is no address.
func (e Email) IsZero() bool { return e == Email{} }

// identity returns the normalized address.
func (e Email) identity() string {
	if e.IsZero() {
		return ""
	}
	return e.normalized.Value()
}

// Format implements [fmt.Formatter]: every verb and flag prints "[redacted]".
func (Email) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements [fmt.Stringer].
func (Email) String() string { return redacted }

// LogValue implements [slog.LogValuer].
func (Email) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (Email) MarshalText() ([]byte, error) { return []byte(redacted), nil }
