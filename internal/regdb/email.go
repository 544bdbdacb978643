package regdb

import (
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of RFC 5321, section 4.5.3.1, and RFC 1035, section 2.3.4, in bytes.
const (
	maxEmail  = 254
	maxLocal  = 64
	maxDomain = 253
	maxLabel  = 63
)

// NormalizeEmail returns the form of an address that identity is decided by. A change of its rules needs a new blind
// index: the "v1" in the hashed text is their version.
func NormalizeEmail(address string) (string, bool) {
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
