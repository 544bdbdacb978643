package authn

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxTokenLength is the longest token in bytes. A longer one is refused before it is parsed.
const MaxTokenLength = 8 << 10

// maxHeaderLength is the longest encoded header. Ours have alg, typ and a kid of maxKeyIDLength at most.
const maxHeaderLength = 256

// VerifierConfig configures a [Verifier]. Keys, Issuer and Audience are required: an empty one would switch a check
// off.
type VerifierConfig struct {
	// Keys are the keys that tokens may be signed with, all of one algorithm and each with an id of its own. The "kid"
	// of a token picks one.
	Keys []Key

	// Issuer is the "iss" that a token must have.
	Issuer string

	// Audience is the "aud" that a token must have.
	Audience string

	// Leeway is how far the issuer's clock may be off, either way. Default: 30 s. Negative: not at all.
	Leeway time.Duration
}

// Verifier verifies the access tokens of an [Issuer]. It is safe for concurrent use.
type Verifier struct {
	keys   map[string]Key
	claims *jwt.Validator
	base64 *base64.Encoding // strict: bits after the end must be zero, so that one token has one spelling
}

// NewVerifier returns a verifier, or every violation of cfg at once.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	keys, errs := keySet(cfg.Keys)
	if cfg.Issuer == "" {
		errs = append(errs, errors.New("authn: VerifierConfig.Issuer: required"))
	}
	if cfg.Audience == "" {
		errs = append(errs, errors.New("authn: VerifierConfig.Audience: required"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	switch {
	case cfg.Leeway == 0:
		cfg.Leeway = 30 * time.Second
	case cfg.Leeway < 0:
		cfg.Leeway = 0
	}
	return &Verifier{keys: keys, base64: base64.RawURLEncoding.Strict(), claims: jwt.NewValidator(
		jwt.WithIssuer(cfg.Issuer),
		jwt.WithAudience(cfg.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithNotBeforeRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(cfg.Leeway),
	)}, nil
}

func keySet(keys []Key) (map[string]Key, []error) {
	if len(keys) == 0 {
		return nil, []error{errors.New("authn: VerifierConfig.Keys: required")}
	}
	var errs []error
	set := make(map[string]Key, len(keys))
	for i, k := range keys {
		switch _, seen := set[k.id]; {
		case k.zero():
			errs = append(errs, fmt.Errorf("authn: VerifierConfig.Keys[%d]: zero key", i))
		case seen:
			errs = append(errs, fmt.Errorf("authn: VerifierConfig.Keys[%d]: second key with id %q", i, k.id))
		case k.Algorithm() != keys[0].Algorithm():
			errs = append(errs, fmt.Errorf("authn: VerifierConfig.Keys[%d]: %s beside %s", i, k.Algorithm(), keys[0].Algorithm()))
		default:
			set[k.id] = k
		}
	}
	return set, errs
}

// Verify returns who raw speaks for. It returns ErrTokenMissing for the empty string, ErrTokenExpired for a token that
// was good once, and ErrTokenInvalid for anything else; none of them holds any part of the token. It does not block
// and takes no notice of ctx, which is there for verifiers that must ask someone.
//
// Nothing but the header of a token is parsed before its signature is verified, with the key and the one algorithm of
// ours that the header names. That is why jwt.Parser is not used: it decodes all of a token first.
func (v *Verifier) Verify(_ context.Context, raw string) (*Identity, error) {
	if raw == "" {
		return nil, ErrTokenMissing
	}
	payload, ok := v.signed(raw)
	if !ok {
		return nil, ErrTokenInvalid
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, ErrTokenInvalid
	}
	if err := v.claims.Validate(&c); err != nil {
		return nil, collapse(err)
	}
	return &Identity{
		Subject: c.Subject, Tenant: c.Tenant, Session: c.Session, Role: c.Role, TokenID: c.TokenID,
		ExpiresAt: time.Unix(c.ExpiresAt, 0),
	}, nil
}

// signed returns the payload of raw if one of our keys has signed it.
func (v *Verifier) signed(raw string) (payload []byte, ok bool) {
	if len(raw) > MaxTokenLength || strings.Count(raw, ".") != 2 || !compact(raw) {
		return nil, false
	}
	dot := strings.LastIndexByte(raw, '.')
	text, encoded := raw[:dot], raw[dot+1:]
	header, body, _ := strings.Cut(text, ".")
	key, ok := v.key(header)
	if !ok {
		return nil, false
	}
	signature, err := v.base64.DecodeString(encoded)
	if err != nil || key.method.Verify(text, signature, key.verify()) != nil {
		return nil, false
	}
	payload, err = v.base64.DecodeString(body)
	return payload, err == nil
}

// key returns the key of ours that the encoded header names.
func (v *Verifier) key(encoded string) (Key, bool) {
	if len(encoded) > maxHeaderLength {
		return Key{}, false
	}
	data, err := v.base64.DecodeString(encoded)
	if err != nil {
		return Key{}, false
	}
	var h header
	if err := json.Unmarshal(data, &h); err != nil || h.Type != tokenType {
		return Key{}, false
	}
	key, ok := v.keys[h.KeyID]
	return key, ok && h.Algorithm == key.Algorithm()
}

// compact reports whether raw has only the characters of a compact token. encoding/base64 skips line breaks, so one
// token would otherwise have many spellings.
func compact(raw string) bool {
	for _, c := range []byte(raw) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// collapse returns ErrTokenExpired if err says so and complains of nothing else, and ErrTokenInvalid otherwise.
func collapse(err error) error {
	if !errors.Is(err, jwt.ErrTokenExpired) {
		return ErrTokenInvalid
	}
	for _, other := range []error{
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenNotValidYet,
		jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenRequiredClaimMissing, jwt.ErrInvalidType, errClaims,
	} {
		if errors.Is(err, other) {
			return ErrTokenInvalid
		}
	}
	return ErrTokenExpired
}
