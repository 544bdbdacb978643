package provision

import (
	"encoding/json"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// mark is the comment on a tenant's database and role, in JSON. It says whose they are, so that nothing else is ever
// dropped, and lets a connection check where it has come to.
type mark struct {
	Version int        `json:"pgtenancy"` // of this format: 1
	Tenant  tenancy.ID `json:"tenant"`
	Epoch   int64      `json:"epoch"` // no router that knows a smaller one may enter
}

// literal is m as an SQL literal. It needs no escaping: an ID has no quotes.
func (m mark) literal() string {
	text, _ := json.Marshal(m) // cannot fail: two numbers and a string
	return "'" + string(text) + "'"
}

// parseMark reads a comment. It reports false for one that is no mark of this version.
func parseMark(comment string) (mark, bool) {
	var m mark
	if err := json.Unmarshal([]byte(comment), &m); err != nil {
		return mark{}, false
	}
	if m.Version != 1 || !m.Tenant.Valid() {
		return mark{}, false
	}
	return m, true
}
