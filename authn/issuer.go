package authn

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// IssuerConfig configures an [Issuer]. Key, Issuer and Audience are required.
type IssuerConfig struct {
	// Key signs. One made with NewEd25519PublicKey cannot. SetKey changes it.
	Key Key

	// Issuer is the claim "iss" of every token: the name of the signer.
	Issuer string

	// Audience is the claim "aud" of every token: the service that they are for.
	Audience string

	// TTL is how long a token is good for, at least a second. It bounds how long a token outlives its session.
	// Default: 15 min.
	TTL time.Duration
}

// Issuer signs access tokens. It is safe for concurrent use.
type Issuer struct {
	key              atomic.Pointer[Key]
	issuer, audience string
	ttl              time.Duration
}

// NewIssuer returns an issuer, or every violation of cfg at once.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	var errs []error
	refuse := func(s string) { errs = append(errs, errors.New("authn: IssuerConfig."+s)) }
	i := &Issuer{issuer: cfg.Issuer, audience: cfg.Audience}
	if err := i.SetKey(cfg.Key); err != nil {
		errs = append(errs, err)
	}
	if cfg.Issuer == "" {
		refuse("Issuer: required")
	}
	if cfg.Audience == "" {
		refuse("Audience: required")
	}
	if cfg.TTL == 0 {
		cfg.TTL = 15 * time.Minute
	}
	if cfg.TTL < time.Second {
		refuse("TTL: must be at least a second")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	i.ttl = cfg.TTL
	return i, nil
}

// SetKey signs with key from now on. Every verifier must have it already: see the package's comment on rotation. A
// token whose signing has begun may still get the key before.
func (i *Issuer) SetKey(key Key) error {
	switch {
	case key.zero():
		return errors.New("authn: IssuerConfig.Key: required")
	case key.sign == nil:
		return errors.New("authn: IssuerConfig.Key: a public key cannot sign")
	}
	i.key.Store(&key)
	return nil
}

// Issue signs an access token for id and returns it with the time it expires at. Subject, Tenant and Session are
// required; an empty TokenID gets a random one. KeyID and ExpiresAt are ignored: the issuer's key and TTL decide. The
// caller keeps the token out of logs.
func (i *Issuer) Issue(id Identity) (token string, expiresAt time.Time, err error) {
	if id.Subject == "" || id.Tenant == "" || id.Session == "" {
		return "", time.Time{}, errors.New("authn: issue token: subject, tenant and session are required")
	}
	if id.TokenID == "" {
		id.TokenID = rand.Text()
	}
	key := *i.key.Load()
	now := time.Now().Truncate(time.Second)
	expiresAt = now.Add(i.ttl).Truncate(time.Second)
	unsigned := jwt.NewWithClaims(key.method, &claims{
		Issuer: i.issuer, Audience: i.audience,
		Subject: id.Subject, Tenant: id.Tenant, Session: id.Session, Role: id.Role, TokenID: id.TokenID,
		IssuedAt: now.Unix(), NotBefore: now.Unix(), ExpiresAt: expiresAt.Unix(),
	})
	unsigned.Header["kid"] = key.id
	unsigned.Header["typ"] = tokenType
	token, err = unsigned.SignedString(key.sign())
	if err != nil {
		return "", time.Time{}, fmt.Errorf("authn: issue token: %w", err)
	}
	if len(token) > MaxTokenLength {
		return "", time.Time{}, errors.New("authn: issue token: identity too long")
	}
	return token, expiresAt, nil
}
