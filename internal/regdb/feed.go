package regdb

// Channel is what changes are notified on. A notification says nothing but that it is time to read: any role that may
// connect to the database can send one.
const Channel = "pgtenancy_changes"

// Publish ends a statement that has changed rows of tenants and returned their id and epoch as "changed": it writes the
// changes and notifies every process that follows, in the same transaction. Its result is one row for each change.
//
// The feed's row stays locked until the transaction ends, so that versions commit in order and without gaps. It is
// locked after the tenants' rows everywhere, and a server's row before them: no two writers can deadlock.
const Publish = PublishRows + `
SELECT tenant_id, epoch, ` + Notify + ` FROM written`

// PublishRows is Publish for a statement that returns more than the changes; it must select Notify, for each row of
// "written".
const PublishRows = `,
feed AS (
	UPDATE pgtenancy.feed SET version = version + (SELECT count(*) FROM changed)
	WHERE id = 1 AND EXISTS (SELECT 1 FROM changed)
	RETURNING version
), written AS (
	INSERT INTO pgtenancy.changes (version, tenant_id, epoch)
	SELECT feed.version + 1 - row_number() OVER (ORDER BY changed.id DESC), changed.id, changed.epoch
	FROM changed CROSS JOIN feed
	RETURNING tenant_id, epoch
)`

// Notify is typed, so that no function of another schema fits better than PostgreSQL's own.
//
// Any role of the server can fill its queue of notifications; every transaction that notifies fails then (54000). A
// change matters more than how soon it is known, so it is published without a notification when the queue is nearly
// full: followers poll.
const Notify = `CASE WHEN (SELECT pg_catalog.pg_notification_queue_usage()) < 0.9
	THEN pg_catalog.pg_notify('` + Channel + `'::text, ''::text) END`

// CloseSessions is a statement that deletes the sessions that the condition names and publishes each of them as Publish
// does a tenant, in the same transaction. Its result is a row for each: its id, its tenant's and its admin's, and one
// more column.
func CloseSessions(condition string) string {
	return `
WITH closed AS (
	DELETE FROM pgtenancy.sessions WHERE ` + condition + ` RETURNING id, tenant_id, admin_id
), feed AS (
	UPDATE pgtenancy.feed SET version = version + (SELECT count(*) FROM closed)
	WHERE id = 1 AND EXISTS (SELECT 1 FROM closed)
	RETURNING version
), written AS (
	INSERT INTO pgtenancy.changes (version, tenant_id, epoch, session)
	SELECT feed.version + 1 - row_number() OVER (ORDER BY closed.id DESC), closed.tenant_id, 0, closed.id
	FROM closed CROSS JOIN feed
	RETURNING session
)
SELECT c.id, c.tenant_id, c.admin_id, ` + Notify + ` FROM written JOIN closed c ON c.id = written.session`
}
