package provision

import "github.com/pgtenancy/pgtenancy/tenancy"

// TenantName is the name of a tenant's database and role, and SharedNames are those that no tenant may have.
func TenantName(prefix string, id tenancy.ID) string { return names{prefix}.tenant(id) }

// SharedNames are the names under a prefix that are no tenant's.
func SharedNames(prefix, hash string) []string {
	n := names{prefix}
	return []string{n.ownerRole(), n.groupRole(), n.template(hash), n.model("0")}
}
