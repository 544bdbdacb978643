package authn

import (
	"context"
	"strings"
	"time"
)

// Identity is the person or program that a verified token speaks for.
type Identity struct {
	Subject   string    // id of the admin, the claim "sub"
	Tenant    string    // id of the tenant, the claim "tid"; not yet parsed as one
	Session   string    // id of the session, the claim "sid"
	Role      string    // role in the tenant, the claim "role"; may be empty
	TokenID   string    // id of the token, the claim "jti"
	KeyID     string    // id of the key that signed it, the header's "kid"
	ExpiresAt time.Time // the claim "exp"
}

// clone returns a copy of id that shares no memory with it.
func (id Identity) clone() Identity {
	for _, s := range []*string{&id.Subject, &id.Tenant, &id.Session, &id.Role, &id.TokenID, &id.KeyID} {
		*s = strings.Clone(*s)
	}
	return id
}

type identityKey struct{}

// NewContext returns a copy of ctx that carries id.
func NewContext(ctx context.Context, id *Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// FromContext returns the identity that ctx carries, and whether there is one.
func FromContext(ctx context.Context) (*Identity, bool) {
	id, _ := ctx.Value(identityKey{}).(*Identity)
	return id, id != nil
}
