package provision

import (
	"strings"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// maxName is the longest name PostgreSQL keeps whole, NAMEDATALEN - 1 bytes.
const maxName = 63

// names makes the names of databases and roles. A tenant's name is the prefix and an id, which begins with a letter or
// a digit; all others go on with "_" after the prefix, so no id can collide with them.
type names struct{ prefix string }

func (n names) tenant(id tenancy.ID) string { return n.prefix + string(id) }

// ownerRole owns all databases. It cannot log in.
func (n names) ownerRole() string { return n.prefix + "_owner" }

// groupRole holds the privileges on tables that all tenants' roles have, each in its own database. It cannot log in.
func (n names) groupRole() string { return n.prefix + "_tenant" }

func (n names) template(hash string) string { return n.prefix + "_template_" + hash }

func (n names) isTemplate(name string) bool { return strings.HasPrefix(name, n.template("")) }

// isOwn reports whether the name is of a kind that no tenant's database has.
func (n names) isOwn(name string) bool { return strings.HasPrefix(name, n.prefix+"_") }

func (n names) model(random string) string { return n.prefix + "_model_" + random }

func (n names) isModel(name string) bool { return strings.HasPrefix(name, n.model("")) }
