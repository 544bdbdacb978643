package tenancy

import (
	"encoding/json"
	"fmt"
)

// OwnerTag is the comment on a tenant's database, in JSON. It names the tenant and tells a resolver whose record is out
// of date to stay away. The database's owner may set it, and every role may read it:
//
//	COMMENT ON DATABASE tenant_acme IS '{"pgtenancy":1,"tenant":"acme","epoch":7}'
//
// Package provision writes it. If you create databases in another way and want Config.Fence, write [OwnerTag.String].
type OwnerTag struct {
	Tenant ID
	Epoch  int64 // a resolver whose record has a smaller one must not use the database
	Fenced bool  // no resolver may use it
}

// tagVersion is the version of the format.
const tagVersion = 1

type tagJSON struct {
	Version int   `json:"pgtenancy"`
	Tenant  ID    `json:"tenant"`
	Epoch   int64 `json:"epoch"`
	Fenced  bool  `json:"fenced,omitempty"`
}

// ParseOwnerTag parses a comment. It returns false if the comment is not an owner tag, or has an unknown version.
func ParseOwnerTag(comment string) (OwnerTag, bool) {
	var m tagJSON
	if err := json.Unmarshal([]byte(comment), &m); err != nil || m.Version != tagVersion || !m.Tenant.Valid() {
		return OwnerTag{}, false
	}
	return OwnerTag{Tenant: m.Tenant, Epoch: m.Epoch, Fenced: m.Fenced}, true
}

// String returns the comment. If the Tenant is valid, it contains no single quote and no backslash, so that it can be
// put between the quotes of an SQL literal as it is.
func (m OwnerTag) String() string {
	text, err := json.Marshal(tagJSON{Version: tagVersion, Tenant: m.Tenant, Epoch: m.Epoch, Fenced: m.Fenced})
	if err != nil { // numbers, a string and a bool always marshal
		panic(err)
	}
	return string(text)
}

// admits returns nil if a pool that was opened for t may use a database that has the tag m.
func (m OwnerTag) admits(t *Tenant) error {
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
