package authn_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"maps"
	"runtime"
	"time"
)

// signer signs the first two parts of a token.
type signer func(text []byte) []byte

func eddsa(text []byte) []byte { return ed25519.Sign(private(seed), text) }
func unsigned([]byte) []byte   { return nil }

func hs256(key string) signer {
	return func(text []byte) []byte {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(text)
		return mac.Sum(nil)
	}
}

func hs512(text []byte) []byte {
	mac := hmac.New(sha512.New, []byte(secret))
	mac.Write(text)
	return mac.Sum(nil)
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// forge signs a token with any header and payload.
func forge(header, payload string, sign signer) string {
	text := segment([]byte(header)) + "." + segment([]byte(payload))
	return text + "." + segment(sign([]byte(text)))
}

// raw is JSON as it is to stand in a payload.
type raw = json.RawMessage

// absent takes a claim out.
type absent struct{}

// payload returns the claims of a good token, changed.
func payload(changes map[string]any) string {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": issuerName, "aud": audience, "sub": "admin1", "tid": "acme", "sid": "session1", "role": "PRIMARY",
		"jti": "token1", "iat": now, "nbf": now, "exp": now + 600,
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == absent{} })
	data, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// bytesOf returns how many bytes f allocates. Nothing else may run meanwhile.
func bytesOf(f func()) uint64 {
	f() // caches
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
