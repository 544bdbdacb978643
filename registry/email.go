package registry

import (
	"fmt"
	"io"
	"log/slog"
	"net/mail"
	"strings"
	"unicode/utf8"
	"unique"

	"golang.org/x/net/idna"
)

const redacted = "[redacted]"

// Limits of RFC 5321, section 4.5.3.1, and RFC 1035, section 2.3.4, in bytes.
const (
	maxEmail  = 254
	maxLocal  = 64
	maxDomain = 253
	maxLabel  = 63
)

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
// address literals, and spellings of a domain that IDNA would map to another one. What is left is compared by its
// lower-cased local part and its domain in ASCII (A-label) form; dots and "+tags" in the local part count.
func ParseEmail(s string) (Email, error) {
	address := strings.TrimSpace(s)
	normalized, ok := normalizeEmail(address)
	if !ok {
		return Email{}, ErrInvalidEmail
	}
	return Email{address: unique.Make(address), normalized: unique.Make(normalized)}, nil
}

// Reveal returns the address as it was typed. Whoever calls it keeps it out of logs and errors.
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

// Normalized returns the form of the address that identity is decided by. Whoever calls it keeps it out of logs and
// errors.
func (e Email) Normalized() string {
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

// normalizeEmail returns the form of an address that identity is decided by. A change of its rules needs a new blind
// index: the "v1" in what is hashed is their version.
func normalizeEmail(address string) (string, bool) {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || len(address) > maxEmail || len(local) > maxLocal || !isASCII(local) || strings.Contains(local, `"`) {
		return "", false
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || strings.Contains(domain, "@") {
		return "", false
	}
	if domain, ok = normalizeDomain(domain); !ok {
		return "", false
	}
	normalized := lowerASCII(local) + "@" + domain
	return normalized, len(normalized) <= maxEmail
}

// normalizeDomain returns the A-label form of a domain. IDNA maps many spellings to one domain (full-width letters,
// the Kelvin sign for k); all but the canonical one are refused, so that two addresses that look different to the
// person who reads them are never one identity.
func normalizeDomain(domain string) (string, bool) {
	lower := lowerASCII(domain)
	ascii, err := idna.Lookup.ToASCII(lower)
	if err != nil || !isASCII(ascii) || len(ascii) > maxDomain {
		return "", false
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > maxLabel {
			return "", false
		}
	}
	unicode, err := idna.Lookup.ToUnicode(ascii)
	if err != nil || lower != ascii && lower != unicode {
		return "", false
	}
	again, err := idna.Lookup.ToASCII(unicode)
	return ascii, err == nil && again == ascii
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// lowerASCII lowers A to Z and nothing else: strings.ToLower turns the Kelvin sign into k.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}
