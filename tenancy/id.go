package tenancy

import "strings"

// MaxIDLength is the longest tenant ID in bytes. With the default database prefix "tenant_" a name has 62 bytes at
// most. PostgreSQL allows 63 (NAMEDATALEN - 1) and cuts a longer name off silently.
const MaxIDLength = 55

// ID identifies one tenant. An ID has one canonical spelling, ^[a-z0-9][a-z0-9_-]{0,54}$, and is never used again for
// another tenant. Make one from outside input with [ParseID] only.
type ID string

// ParseID returns s as an ID. It maps nothing: upper case, spaces or any other spelling that is not canonical is
// refused with [ErrInvalidID], so that two spellings can never name one tenant.
//
// The ID is a copy of s. It stays as it is where a server reuses the memory of a request's strings, as fasthttp does,
// and so does fiber: c.Params, c.Hostname and, behind their net/http adaptors, r.URL.Path, r.Host and r.Header.
func ParseID(s string) (ID, error) {
	id := ID(s)
	if !id.Valid() {
		return "", invalidIDError(s)
	}
	return ID(strings.Clone(s)), nil
}

// Valid reports whether id has the canonical spelling.
func (id ID) Valid() bool {
	if len(id) == 0 || len(id) > MaxIDLength {
		return false
	}
	for i := range len(id) {
		c := id[i]
		alphanumeric := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// String returns the ID's canonical spelling.
func (id ID) String() string { return string(id) }

// truncate keeps a hostile input from filling an error or a log line.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
