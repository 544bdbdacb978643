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

// VerifierConfig configures a [Verifier]. Issuer, Audience and one of Keys and Source are required: an empty one would
// switch a check off.
type VerifierConfig struct {
	// Keys are the keys that tokens may be signed with, all of one algorithm and each with an id of its own. The "kid"
	// of a token picks one. SetKeys changes them.
	Keys []Key

	// Source finds the keys instead, where they are not at hand; see authn/jwks.
	Source KeySource

	// Issuer is the "iss" that a token must have.
	Issuer string

	// Audience is the "aud" that a token must have.
	Audience string

	// Leeway is how far the issuer's clock may be off, either way. Default: 30 s. Negative: not at all.
	Leeway time.Duration
}

// Verifier verifies the access tokens of an [Issuer]. It is safe for concurrent use.
type Verifier struct {
	keys   KeySource
	given  *keySet // keys, unless they are the caller's
	claims *jwt.Validator
	base64 *base64.Encoding // strict: bits after the end must be zero, so that one token has one spelling
}

// NewVerifier returns a verifier, or every violation of cfg at once.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	v := &Verifier{keys: cfg.Source, base64: base64.RawURLEncoding.Strict()}
	var errs []error
	switch {
	case cfg.Source == nil:
		v.given = new(keySet)
		v.keys = v.given
		errs = append(errs, v.SetKeys(cfg.Keys...))
	case len(cfg.Keys) > 0:
		errs = append(errs, errors.New("authn: VerifierConfig.Source: not beside Keys"))
	}
	if cfg.Issuer == "" {
		errs = append(errs, errors.New("authn: VerifierConfig.Issuer: required"))
	}
	if cfg.Audience == "" {
		errs = append(errs, errors.New("authn: VerifierConfig.Audience: required"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	switch {
	case cfg.Leeway == 0:
		cfg.Leeway = 30 * time.Second
	case cfg.Leeway < 0:
		cfg.Leeway = 0
	}
	v.claims = jwt.NewValidator(
		jwt.WithIssuer(cfg.Issuer),
		jwt.WithAudience(cfg.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithNotBeforeRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(cfg.Leeway),
	)
	return v, nil
}

// SetKeys replaces the keys that tokens may be signed with, or reports every violation and leaves them as they are. It
// takes effect at once, also in a [Cache] in front of v. Without a key, v refuses the tokens that it signed.
func (v *Verifier) SetKeys(keys ...Key) error {
	if v.given == nil {
		return errors.New("authn: set keys: the verifier has a source of keys")
	}
	set, errs := byID(keys)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	v.given.keys.Store(&set)
	return nil
}

// HasKey reports whether tokens that are signed with the key of this id are accepted. It does not block.
func (v *Verifier) HasKey(id string) bool { return v.keys.HasKey(id) }

func byID(keys []Key) (map[string]Key, []error) {
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
			errs = append(errs,
				fmt.Errorf("authn: VerifierConfig.Keys[%d]: %s beside %s", i, k.Algorithm(), keys[0].Algorithm()))
		default:
			set[k.id] = k
		}
	}
	return set, errs
}

// Verify returns the identity that raw speaks for. It returns ErrTokenMissing for the empty string, ErrTokenExpired for
// a token that was good once, and ErrTokenInvalid for anything else; none of them holds any part of the token. With
// Keys it does not block and takes no notice of ctx; with a Source, ctx governs the search for the key, and a search
// that fails is the one other error.
//
// Nothing but the header of a token is parsed before its signature is verified, with the key and the one algorithm of
// ours that the header names. That is why jwt.Parser is not used: it decodes all of a token first.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Identity, error) {
	if raw == "" {
		return nil, ErrTokenMissing
	}
	key, payload, err := v.signed(ctx, raw)
	if err != nil {
		return nil, err
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
		KeyID: key.id, ExpiresAt: time.Unix(c.ExpiresAt, 0),
	}, nil
}

// signed returns the payload of raw, and the key of ours that has signed it.
func (v *Verifier) signed(ctx context.Context, raw string) (Key, []byte, error) {
	if len(raw) > MaxTokenLength || strings.Count(raw, ".") != 2 || !compact(raw) {
		return Key{}, nil, ErrTokenInvalid
	}
	dot := strings.LastIndexByte(raw, '.')
	text, encoded := raw[:dot], raw[dot+1:]
	header, body, _ := strings.Cut(text, ".")
	key, err := v.key(ctx, header)
	if err != nil {
		return Key{}, nil, err
	}
	signature, err := v.base64.DecodeString(encoded)
	if err != nil || key.method.Verify(text, signature, key.verify()) != nil {
		return Key{}, nil, ErrTokenInvalid
	}
	payload, err := v.base64.DecodeString(body)
	if err != nil {
		return Key{}, nil, ErrTokenInvalid
	}
	return key, payload, nil
}

// key returns the key of ours that the encoded header names.
func (v *Verifier) key(ctx context.Context, encoded string) (Key, error) {
	if len(encoded) > maxHeaderLength {
		return Key{}, ErrTokenInvalid
	}
	data, err := v.base64.DecodeString(encoded)
	if err != nil {
		return Key{}, ErrTokenInvalid
	}
	var h header
	if err := json.Unmarshal(data, &h); err != nil || h.Type != tokenType || checkKeyID(h.KeyID) != nil {
		return Key{}, ErrTokenInvalid
	}
	key, err := v.keys.Key(ctx, h.KeyID)
	if err != nil {
		return Key{}, err
	}
	if key.id != h.KeyID || h.Algorithm != key.Algorithm() {
		return Key{}, ErrTokenInvalid
	}
	return key, nil
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
