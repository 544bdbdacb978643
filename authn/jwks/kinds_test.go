package jwks_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pgtenancy/pgtenancy/authn"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk is a JWK as it stands in a set.
type jwk map[string]string

// ed returns a good JWK with changes; one to "" takes a member out.
func ed(id string, changes jwk) jwk {
	k := jwk{
		"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": id, "x": encode(private(id)[32:]),
	}
	for name, value := range changes {
		if k[name] = value; value == "" {
			delete(k, name)
		}
	}
	return k
}

func set(keys ...jwk) string { return string(must(json.Marshal(map[string]any{"keys": keys}))) }

// resign returns a good token with another algorithm and signature.
func resign(method jwt.SigningMethod, id string, signing any) string {
	token := jwt.New(method)
	token.Header["kid"], token.Header["typ"] = id, "at+jwt"
	claims := strings.Split(sign(key(id)), ".")[1]
	text := encode(must(json.Marshal(token.Header))) + "." + claims
	return text + "." + encode(must(method.Sign(text, signing)))
}

func TestOnlyEd25519KeysForSignaturesAreTaken(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret for hs256 with 32 bytes")
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	point := must(ecKey.PublicKey.Bytes())
	dh := must(ecdh.X25519().GenerateKey(rand.Reader))
	good := sign(key("k"))
	text := good[:strings.LastIndexByte(good, '.')]
	hs := func(key []byte) string { return resign(jwt.SigningMethodHS256, "k", key) }
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	for name, c := range map[string]struct {
		jwk   jwk
		token string
	}{
		"oct": {
			jwk{"kty": "oct", "k": encode(secret), "kid": "k", "use": "sig", "alg": "HS256"},
			hs(secret),
		},
		"oct that says EdDSA": {
			jwk{"kty": "oct", "k": encode(secret), "kid": "k", "use": "sig", "alg": "EdDSA"},
			hs(secret),
		},
		"oct that says EdDSA, EdDSA": {
			jwk{"kty": "oct", "k": encode(secret), "kid": "k", "use": "sig", "alg": "EdDSA"},
			text + "." + encode(mac.Sum(nil)),
		},
		"HS256 with the public key": {ed("k", nil), hs(private("k")[32:])},
		"HS256 with the JWK":        {ed("k", nil), hs([]byte(encode(private("k")[32:])))},
		"RSA": {
			jwk{"kty": "RSA", "n": encode(rsaKey.N.Bytes()), "e": "AQAB", "kid": "k", "use": "sig", "alg": "RS256"},
			resign(jwt.SigningMethodRS256, "k", rsaKey),
		},
		"EC": {
			jwk{
				"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:]), "kid": "k", "use": "sig",
				"alg": "ES256",
			},
			resign(jwt.SigningMethodES256, "k", ecKey),
		},
		"X25519":        {ed("k", jwk{"crv": "X25519", "x": encode(dh.PublicKey().Bytes())}), good},
		"Ed448":         {ed("k", jwk{"crv": "Ed448", "x": encode(make([]byte, 57))}), good},
		"unknown kind":  {ed("k", jwk{"kty": "AKP"}), good},
		"for secrecy":   {ed("k", jwk{"use": "enc"}), good},
		"for anything":  {ed("k", jwk{"use": ""}), good},
		"no algorithm":  {ed("k", jwk{"alg": ""}), good},
		"alg HS256":     {ed("k", jwk{"alg": "HS256"}), hs(private("k")[32:])},
		"alg none":      {ed("k", jwk{"alg": "none"}), good},
		"private half":  {ed("k", jwk{"d": encode(private("k").Seed())}), good},
		"zero key":      {ed("k", jwk{"x": encode(make([]byte, 32))}), good},
		"no id":         {ed("k", jwk{"kid": ""}), good},
		"id with a URL": {ed("k", jwk{"kid": "https://evil.example/k"}), good},
		"another key":   {ed("k", jwk{"x": encode(ed25519.PublicKey(private("other")[32:]))}), good},
	} {
		e := &endpoint{}
		e.fail(http.StatusOK, set(c.jwk, ed("good", nil)))
		r := newRemote(t, e, nil)
		if err := r.Ready(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if id, err := r.Verify(t.Context(), c.token); !errors.Is(err, authn.ErrTokenInvalid) || id != nil {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if _, err := r.Verify(t.Context(), sign(key("good"))); err != nil {
			t.Errorf("%s: the good key beside it: %v", name, err)
		}
		r.Close()
	}
}

// TestKeyThatCannotBeReadTakesNoOtherWithIt guards against a neighbour in the set: because of a key that the library
// refused, the whole set was refused, and then new keys were not known and withdrawn ones not gone.
func TestKeyThatCannotBeReadTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	good := string(must(json.Marshal(ed("good", nil))))
	for name, neighbour := range map[string]string{
		"null": `null`, "a number": `1`, "a string": `"k"`, "an array": `[]`, "nothing": `{}`,
		"members of other types":  `{"kty":"OKP","kid":7,"x":{}}`,
		"a use that is not known": `{"kty":"RSA","n":"AQAB","e":"AQAB","use":"attest","kid":"k"}`,
		"odd operations":          `{"kty":"oct","k":"AAAA","key_ops":["dance","dance"],"kid":"k"}`,
		"a broken certificate":    `{"kty":"RSA","n":"AQAB","e":"AQAB","x5c":["AA=="],"kid":"k"}`,
		"certificates by http":    `{"kty":"RSA","n":"AQAB","e":"AQAB","x5u":"http://idp.example/k","kid":"k"}`,
		"a thumbprint of others":  `{"kty":"RSA","n":"AQAB","e":"AQAB","x5t":"AAAA","kid":"k"}`,
		"a point off its curve":   `{"kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB","kid":"k"}`,
		"no base64":               `{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"k","x":"=="}`,
		"half a key":              `{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"k","x":"AAAA"}`,
	} {
		e := &endpoint{}
		e.fail(http.StatusOK, `{"keys":[`+neighbour+`,`+good+`]}`)
		r := newRemote(t, e, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := r.Ready(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		if _, err := r.Verify(t.Context(), sign(key("good"))); err != nil {
			t.Errorf("%s: the good key beside it: %v", name, err)
		}
		r.Close()
	}
}
