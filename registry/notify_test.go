package registry_test

import (
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
)

// fullQueue has the registry's database believe that the server's queue of notifications is full, which takes 8 GiB. A
// function of PostgreSQL's own ignores changes to its row, so it goes by another name.
const fullQueue = `
	SET allow_system_table_mods = on;
	ALTER FUNCTION pg_catalog.pg_notify(text, text) RENAME TO pg_notify_before;
	CREATE FUNCTION pg_catalog.pg_notify(text, text) RETURNS void LANGUAGE plpgsql
		AS $$ BEGIN RAISE EXCEPTION 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000'; END $$;
	ALTER FUNCTION pg_catalog.pg_notification_queue_usage() RENAME TO pg_notification_queue_usage_before;
	CREATE FUNCTION pg_catalog.pg_notification_queue_usage() RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$`

// TestAttackerWhoFillsTheQueueOfNotificationsStopsNoChange guards suspensions and sign-outs where a tenant's role is on
// the registry's server.
func TestAttackerWhoFillsTheQueueOfNotificationsStopsNoChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, pollEvery(10*time.Millisecond))
	id := f.active(t, "acme")
	_, token, err := f.OpenSession(t.Context(), catalog.SessionRequest{
		TenantID: id, AdminID: "admin-acme",
		TTL: time.Hour,
	})
	must(t, err)
	rec, _ := f.follow(t)
	rec.wait(t, id, 2)
	conn, err := f.pool.Acquire(t.Context())
	must(t, err)
	_, err = conn.Conn().PgConn().Exec(t.Context(), fullQueue).ReadAll()
	must(t, err)
	must(t, conn.Conn().Close(t.Context()))
	conn.Release()

	must(t, f.Suspend(t.Context(), id))
	rec.wait(t, id, 3)
	must(t, f.CloseSessions(t.Context(), "admin-acme", ""))
	if _, _, err := f.RotateSession(t.Context(), token, grace); err == nil {
		t.Error("the session is open")
	}
	_, err = f.BeginDelete(t.Context(), id, "o", time.Minute)
	must(t, err)
	rec.wait(t, id, 4)
}
