package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Client is what a session was opened from, as far as the caller says. It prints nothing of it.
type Client struct {
	Addr      netip.Addr `json:"-"` // the zero Addr: unknown
	UserAgent string     `json:"-"` // of which the first 256 bytes are kept
}

// clientRow is how a Client is sealed.
type clientRow struct {
	Addr      netip.Addr `json:"addr"`
	UserAgent string     `json:"userAgent"`
}

// Format implements [fmt.Formatter]: an address is personal data.
func (Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("a client")) }

// maxUserAgent bounds what a header of the client's choice takes of the registry.
const maxUserAgent = 256

// sealClient returns c sealed for the row of a session; nil if c says nothing.
func (cat *Catalog) sealClient(ctx context.Context, session string, c Client) ([]byte, error) {
	if c == (Client{}) {
		return nil, nil
	}
	agent := strings.ToValidUTF8(c.UserAgent[:min(len(c.UserAgent), maxUserAgent)], "")
	plain, err := json.Marshal(clientRow{Addr: c.Addr, UserAgent: agent})
	if err != nil {
		return nil, err
	}
	return cat.db.Seal(ctx, plain, "sessions", session, "client")
}

func (cat *Catalog) openClient(ctx context.Context, session string, sealed []byte) (Client, error) {
	if sealed == nil {
		return Client{}, nil
	}
	plain, err := cat.db.Open(ctx, sealed, "sessions", session, "client")
	if err != nil {
		return Client{}, err
	}
	var row clientRow
	if err := json.Unmarshal(plain, &row); err != nil {
		return Client{}, err
	}
	return Client(row), nil
}
