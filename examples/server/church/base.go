package church

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Base is what every record has.
type Base struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Cursor returns the place of the record in its list.
func (b Base) Cursor() Cursor { return Cursor{at: b.CreatedAt, id: b.ID} }

// Cursor is a place in a list. The zero Cursor is before the first record.
type Cursor struct {
	at time.Time
	id string
}

// ParseCursor reads what [Cursor.String] wrote. An empty string is the zero Cursor; anything else that is no cursor is
// an *InputError.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	bad := &InputError{Fields: map[string]string{"cursor": "is not a cursor of this list"}}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return Cursor{}, bad
	}
	micros, id, ok := strings.Cut(string(raw), "|")
	n, err := strconv.ParseInt(micros, 10, 64)
	if !ok || err != nil || n < 0 || n > beforeFirst().UnixMicro() || !validID(id) {
		return Cursor{}, bad
	}
	return Cursor{at: time.UnixMicro(n), id: id}, nil
}

// String returns the cursor in a form for URLs, which says nothing to its reader.
func (c Cursor) String() string {
	if c.id == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.at.UnixMicro(), 10) + "|" + c.id))
}

// beforeFirst is later than any record, so that every list's first page is like its others.
func beforeFirst() time.Time { return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }

// key returns the two values that a list query compares (created_at, id) with.
func (c Cursor) key() (time.Time, string) {
	if c.id == "" {
		return beforeFirst(), ""
	}
	return c.at, c.id
}

// validID reports whether id could be one of a record: PostgreSQL refuses text with a NUL.
func validID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsRune(id, 0) && strings.ToValidUTF8(id, "") == id
}
