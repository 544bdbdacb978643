package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Actor is who makes a change, and from where. It prints its ID only.
type Actor struct {
	ID        string     // an admin's id, or what an operator or a program calls itself
	Addr      netip.Addr `json:"-"` // the client's; the zero Addr: unknown
	UserAgent string     `json:"-"` // of which the first 256 bytes are kept
}

// Format implements [fmt.Formatter]: an address is personal data.
func (a Actor) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "actor %q", a.ID) }

// LogValue implements [slog.LogValuer].
func (a Actor) LogValue() slog.Value { return slog.StringValue(a.ID) }

// WithActor returns a copy of ctx whose changes are recorded as a's: see [Registry.Events]. Package accounts fills in
// what it knows and a does not say: the admin's id, and the address of a request that has one.
func WithActor(ctx context.Context, a Actor) context.Context {
	return regdb.WithActor(ctx, regdb.Actor(a))
}

// ActorOf returns the actor of ctx; the zero Actor if it has none.
func ActorOf(ctx context.Context) Actor { return Actor(regdb.ActorOf(ctx)) }

// EventKind says what was changed.
type EventKind string

// The kinds of events.
const (
	EventInvited           EventKind = "admin.invited"            // Object: the invitation
	EventInvitationRevoked EventKind = "admin.invitation_revoked" // Object: the invitation
	EventAdminAdded        EventKind = "admin.added"              // Detail: the role
	EventAdminNotAdded     EventKind = "admin.not_added"          // the tenant's database refused the row
	EventRoleChanged       EventKind = "admin.role_changed"       // Detail: the role
	EventEmailChanged      EventKind = "admin.email_changed"
	EventPasswordChanged   EventKind = "admin.password_changed"
	EventPasswordReset     EventKind = "admin.password_reset"
	EventAdminRemoved      EventKind = "admin.removed"
	EventFactorAdded       EventKind = "admin.second_factor_added"
	EventFactorRemoved     EventKind = "admin.second_factor_removed"
	EventSessionOpened     EventKind = "session.opened"  // Object: the session
	EventSessionsClosed    EventKind = "sessions.closed" // Object: the session; empty: several. Detail: why
)

// Event is a change that was made. It holds no secret, and prints no address.
type Event struct {
	Seq       int64 // grows with each event; there are gaps, and of two transactions at once either may be first
	At        time.Time
	Kind      EventKind
	TenantID  tenancy.ID // empty: it concerns no tenant
	AdminID   string     // the admin whom it concerns; empty: none
	Object    string     // a session, an invitation or a server; empty: none
	Detail    string     // see the kinds
	Actor     string     // who made the change: an admin's id, or Actor.ID; empty: unknown
	Addr      netip.Addr `json:"-"`
	UserAgent string     `json:"-"`
}

// Format implements [fmt.Formatter].
func (e Event) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "event %d: %s of tenant %q", e.Seq, string(e.Kind), string(e.TenantID))
}

// LogValue implements [slog.LogValuer].
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(slog.Int64("seq", e.Seq), slog.String("kind", string(e.Kind)),
		slog.String("tenant", string(e.TenantID)), slog.String("admin", e.AdminID))
}

// EventFilter chooses events. A zero field chooses all.
type EventFilter struct {
	TenantID tenancy.ID
	AdminID  string // whom they concern
	Actor    string
	Kind     EventKind
	Since    time.Time // at or after it
	Until    time.Time // before it
	Before   int64     // Seq of the last event of the page before
	Limit    int       // default: 100
}

// Events returns what was changed, newest first: people, sessions and what else has an [EventKind]. An address whose
// key is lost is omitted. Events are kept for Config.EventAge, and no more than Config.EventCount of them. ctx governs
// the query.
func (r *Registry) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	type row struct {
		Event
		id     string
		client []byte
	}
	var found []row
	err := regdb.Retry(ctx, func() (err error) {
		rows, _ := r.db.Pool.Query(ctx, `SELECT id, seq, at, kind, tenant_id, admin_id, object, detail, actor, client
			FROM pgtenancy.events
			WHERE ($1::text = '' OR tenant_id = $1::text) AND ($2::text = '' OR admin_id = $2::text)
				AND ($3::text = '' OR actor = $3::text) AND ($4::text = '' OR kind = $4::text)
				AND ($5::timestamptz IS NULL OR at >= $5::timestamptz)
				AND ($6::timestamptz IS NULL OR at < $6::timestamptz) AND ($7::bigint = 0 OR seq < $7::bigint)
			ORDER BY seq DESC LIMIT $8`, string(f.TenantID), f.AdminID, f.Actor, string(f.Kind),
			moment(f.Since), moment(f.Until), f.Before, cmp.Or(max(f.Limit, 0), 100))
		found, err = pgx.CollectRows(rows, func(scan pgx.CollectableRow) (e row, err error) {
			err = scan.Scan(&e.id, &e.Seq, &e.At, &e.Kind, &e.TenantID, &e.AdminID, &e.Object, &e.Detail, &e.Actor, &e.client)
			return e, err
		})
		return err
	})
	if err != nil {
		return nil, regdb.Redact("events", err)
	}
	events := make([]Event, len(found))
	var errs []error
	for i, e := range found { // the connection is back: a Sealer may ask a network
		events[i] = e.Event
		client, err := r.db.OpenClient(ctx, "events", e.id, e.client)
		if err != nil && !regdb.IsLost(err) {
			errs = append(errs, err)
		}
		events[i].Addr, events[i].UserAgent = client.Addr, client.UserAgent
	}
	return events, errors.Join(errs...)
}

// moment is a parameter for t; null for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// TrimEvents deletes the events that are older than Config.EventAge, and the oldest above Config.EventCount. Package
// accounts calls it from Run; a program without accounts calls it once a day. ctx governs the statements.
func (r *Registry) TrimEvents(ctx context.Context) error {
	if _, err := r.db.Exec(ctx, "trim events", `DELETE FROM pgtenancy.events WHERE at < now() - $1::interval`,
		r.eventAge); err != nil {
		return err
	}
	_, err := r.db.Exec(ctx, "trim events", `DELETE FROM pgtenancy.events WHERE seq <= (
		SELECT seq FROM pgtenancy.events ORDER BY seq DESC OFFSET $1 LIMIT 1)`, r.eventCount)
	return err
}
