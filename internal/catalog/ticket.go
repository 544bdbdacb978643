package catalog

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// TicketKind is the one purpose of a ticket.
type TicketKind string

// The kinds of tickets.
const (
	TicketChoice TicketKind = "choice" // of a tenant
	TicketFactor TicketKind = "factor" // the second one
)

// Ticket says that a password was right, to be shown again within a sign-in of several requests. It is signed with an
// index key and not sealed: it holds ids, and a hash of the password's hash. It prints no more than its kind.
type Ticket struct {
	Kind      TicketKind          `json:"kind"`
	Member    registry.Membership `json:"member"`
	ExpiresAt time.Time           `json:"expiresAt"`
	Mark      string              `json:"mark"` // of the password's hash
}

// Format implements [fmt.Formatter].
func (t Ticket) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "ticket (%s)", string(t.Kind)) }

// NewTicket returns a ticket for a member whose password has that hash.
func NewTicket(kind TicketKind, m registry.Membership, hash string, expiresAt time.Time) Ticket {
	return Ticket{Kind: kind, Member: m, ExpiresAt: expiresAt, Mark: passwordMark(hash)}
}

// Proves reports whether the ticket was issued for the password that has this hash.
func (t Ticket) Proves(hash string) bool { return hash != "" && t.Mark == passwordMark(hash) }

// maxTicket bounds what a client sends, in bytes.
const maxTicket = 1024

// SignTicket returns t as a text that ReadTicket takes.
func (cat *Catalog) SignTicket(t Ticket) tenancy.Secret {
	payload, _ := json.Marshal(t) // strings and a time always marshal
	text := base64.RawURLEncoding.EncodeToString(payload)
	return tenancy.NewSecret(text + "." + cat.db.Keys.Sign(ticketText(text)))
}

func ticketText(payload string) string { return "v1|ticket|" + payload }

// ReadTicket returns a ticket of that kind, or [ErrInvalidTicket] if it is of another, expired, or not signed.
func (cat *Catalog) ReadTicket(kind TicketKind, signed tenancy.Secret, now time.Time) (Ticket, error) {
	text, signature, ok := strings.Cut(signed.Reveal(), ".")
	if !ok || len(signed.Reveal()) > maxTicket || !cat.db.Keys.Verify(ticketText(text), signature) {
		return Ticket{}, ErrInvalidTicket
	}
	payload, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Ticket{}, ErrInvalidTicket
	}
	var t Ticket
	if json.Unmarshal(payload, &t) != nil || t.Kind != kind || !now.Before(t.ExpiresAt) {
		return Ticket{}, ErrInvalidTicket
	}
	return t, nil
}
