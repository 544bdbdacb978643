package registry

// channel is what changes are notified on.
const channel = "pgtenancy_changes"

// announce ends a statement that has changed rows of tenants and returned their id and epoch as "changed": it writes
// the changes and notifies whoever follows, in the same transaction. Its result is one row for each change.
//
// The feed's row stays locked until the transaction ends, so that versions commit in order and without gaps. It is
// locked after the tenants' rows everywhere, and a server's row before them: no two writers can deadlock.
const announce = `,
feed AS (
	UPDATE pgtenancy.feed SET version = version + (SELECT count(*) FROM changed)
	WHERE id = 1 AND EXISTS (SELECT 1 FROM changed)
	RETURNING version
), written AS (
	INSERT INTO pgtenancy.changes (version, tenant_id, epoch)
	SELECT feed.version + 1 - row_number() OVER (ORDER BY changed.id DESC), changed.id, changed.epoch
	FROM changed CROSS JOIN feed
	RETURNING version, tenant_id, epoch
)
SELECT tenant_id, pg_notify('` + channel + `', version || ' ' || tenant_id || ' ' || epoch)
FROM (SELECT * FROM written ORDER BY version) AS ordered`
