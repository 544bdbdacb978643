package regdb

import "encoding/json"

// Labels returns labels as a parameter, for a cast from text to jsonb.
func Labels(labels map[string]string) string {
	if labels == nil {
		return "{}"
	}
	text, _ := json.Marshal(labels) // strings always marshal
	return string(text)
}

// AddAliases is a statement that gives the tenant $1 the aliases $2 and publishes each of them, in the same
// transaction. It violates aliases_pkey if one is another's, or the tenant's already.
const AddAliases = `
WITH moved AS (
	INSERT INTO pgtenancy.aliases (alias, tenant_id) SELECT unnest($2::text[]), $1::text RETURNING alias, tenant_id
)` + publishAliases

// RemoveAlias is a statement that takes the alias $2 from the tenant $1, and publishes it.
const RemoveAlias = `
WITH moved AS (
	DELETE FROM pgtenancy.aliases WHERE tenant_id = $1::text AND alias = $2::text RETURNING alias, tenant_id
)` + publishAliases

// RemoveAliases is RemoveAlias for all aliases of a tenant whose row the condition names.
func RemoveAliases(condition string) string {
	return `
WITH held AS (
	SELECT id FROM pgtenancy.tenants WHERE ` + condition + ` FOR UPDATE
), moved AS (
	DELETE FROM pgtenancy.aliases a USING held WHERE a.tenant_id = held.id RETURNING a.alias, a.tenant_id
)` + publishAliases
}

const publishAliases = `, feed AS (
	UPDATE pgtenancy.feed SET version = version + (SELECT count(*) FROM moved)
	WHERE id = 1 AND EXISTS (SELECT 1 FROM moved)
	RETURNING version
), written AS (
	INSERT INTO pgtenancy.changes (version, tenant_id, epoch, alias)
	SELECT feed.version + 1 - row_number() OVER (ORDER BY moved.alias DESC), moved.tenant_id, 0, moved.alias
	FROM moved CROSS JOIN feed
	RETURNING alias
)
SELECT alias, ` + Notify + ` FROM written`
