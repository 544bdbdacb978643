package regdb

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Actor is registry.Actor.
type Actor struct {
	ID        string
	Addr      netip.Addr `json:"-"`
	UserAgent string     `json:"-"`
}

type actorKey struct{}

// WithActor is registry.WithActor.
func WithActor(ctx context.Context, a Actor) context.Context {
	a.ID, a.UserAgent = strings.Clone(a.ID), strings.Clone(a.UserAgent)
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns the actor of ctx; the zero Actor if it has none.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// Client is from where something was done, as it is sealed.
type Client struct {
	Addr      netip.Addr `json:"addr"`
	UserAgent string     `json:"userAgent"`
}

// maxUserAgent bounds what a header of the client's choice takes of the registry.
const maxUserAgent = 256

// SealClient returns c sealed for a row's column "client"; nil if c says nothing.
func (db *DB) SealClient(ctx context.Context, table, row string, c Client) ([]byte, error) {
	if c == (Client{}) {
		return nil, nil
	}
	c.UserAgent = strings.ToValidUTF8(c.UserAgent[:min(len(c.UserAgent), maxUserAgent)], "")
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return db.Seal(ctx, plain, table, row, "client")
}

// OpenClient is the reverse of SealClient.
func (db *DB) OpenClient(ctx context.Context, table, row string, sealed []byte) (c Client, err error) {
	if sealed == nil {
		return Client{}, nil
	}
	plain, err := db.Open(ctx, sealed, table, row, "client")
	if err != nil {
		return Client{}, err
	}
	return c, json.Unmarshal(plain, &c)
}

// Event is a change to be recorded. Its fields hold ids and words of the library, never a secret or an e-mail.
type Event struct {
	Kind     string
	TenantID tenancy.ID
	AdminID  string
	Object   string
	Detail   string
}

// Note is an event that is ready to be written: what had to be sealed is, before the transaction begins.
type Note struct {
	Event
	id, actor string
	client    []byte
}

// Note prepares e, whose actor is that of ctx.
func (db *DB) Note(ctx context.Context, e Event) (*Note, error) {
	a := ActorOf(ctx)
	n := &Note{Event: e, id: strings.ToLower(rand.Text()), actor: Text(Shorten(a.ID))}
	var err error
	n.client, err = db.SealClient(ctx, "events", n.id, Client{Addr: a.Addr, UserAgent: a.UserAgent})
	return n, err
}

// Write records the event in the transaction of the change.
func (n *Note) Write(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO pgtenancy.events (id, kind, tenant_id, admin_id, object, detail, actor, client)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		n.id, n.Kind, n.TenantID, n.AdminID, n.Object, n.Detail, n.actor, n.client)
	return err
}
