package tenancy

import (
	"encoding/json"
	"fmt"
)

// Mark is what a tenant's database says of itself: whose it is, and who is too late to enter. It is the comment on the
// database, in JSON, which its owner may set and everybody may read:
//
//	COMMENT ON DATABASE tenant_acme IS '{"pgtenancy":1,"tenant":"acme","epoch":7}'
//
// Package provision writes it. Who makes databases in another way writes [Mark.String] to use Config.Fence.
type Mark struct {
	Tenant ID
	Epoch  int64 // a resolver that knows a smaller one may not enter
	Fenced bool  // nobody may
}

// markVersion is that of the format.
const markVersion = 1

type markJSON struct {
	Version int   `json:"pgtenancy"`
	Tenant  ID    `json:"tenant"`
	Epoch   int64 `json:"epoch"`
	Fenced  bool  `json:"fenced,omitempty"`
}

// ParseMark reads a comment. It reports false for one that is no mark, or of a version that it does not know.
func ParseMark(comment string) (Mark, bool) {
	var m markJSON
	if err := json.Unmarshal([]byte(comment), &m); err != nil || m.Version != markVersion || !m.Tenant.Valid() {
		return Mark{}, false
	}
	return Mark{Tenant: m.Tenant, Epoch: m.Epoch, Fenced: m.Fenced}, true
}

// String returns the comment. If the Tenant is valid, it has no single quote and no backslash, and can stand in an SQL
// literal as it is.
func (m Mark) String() string {
	text, err := json.Marshal(markJSON{Version: markVersion, Tenant: m.Tenant, Epoch: m.Epoch, Fenced: m.Fenced})
	if err != nil { // numbers, a string and a bool always marshal
		panic(err)
	}
	return string(text)
}

// admits returns nil if a pool that was opened for t may use the database that says m of itself.
func (m Mark) admits(t *Tenant) error {
	switch {
	case m.Tenant != t.ID:
		return fmt.Errorf("%w: tenant %q: the database is another tenant's", ErrFenced, t.ID)
	case m.Fenced:
		return fmt.Errorf("%w: tenant %q: the database is closed", ErrFenced, t.ID)
	case m.Epoch > t.Epoch:
		return fmt.Errorf("%w: tenant %q: the database has epoch %d, its record %d", ErrFenced, t.ID, m.Epoch, t.Epoch)
	}
	return nil
}
