package jwks_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
)

// FuzzSet reads arbitrary answers of an endpoint. The keys it reads can be published, and read back from that.
func FuzzSet(f *testing.F) {
	f.Add(set(ed("a", nil), ed("b", nil)))
	f.Add(set(ed("a", nil), ed("a", nil)))
	f.Add(set(ed("a", jwk{"use": ""}), ed("b", jwk{"d": encode(private("b").Seed())})))
	f.Add(set(jwk{"kty": "oct", "k": "AAAA", "kid": "k", "alg": "EdDSA", "use": "sig"}, ed("b", nil)))
	f.Add(set(jwk{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "r", "alg": "RS256", "use": "sig"}))
	f.Add(set(jwk{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "e"}))
	f.Add(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"","kid":"a","x5c":["AA=="],"x5u":"https://evil.example/"}]}`)
	for _, s := range []string{
		``, `{}`, `null`, `[]`, `{"keys":null}`, `{"keys":[null]}`, `{"keys":{}}`,
		`{"KEYS":[{"KTY":"OKP"}]}`, `{"keys":[[`,
	} {
		f.Add(s)
	}
	e := &endpoint{}
	client := &http.Client{Transport: e}
	f.Fuzz(func(t *testing.T, body string) {
		e.fail(http.StatusOK, body)
		keys, err := jwks.Fetch(t.Context(), address, client)
		if err != nil {
			if keys != nil {
				t.Errorf("%q: %v and %v", body, keys, err)
			}
			return
		}
		e.publish(slices.SortedFunc(maps.Values(keys), func(a, b authn.Key) int { return len(a.ID()) - len(b.ID()) })...)
		again, err := jwks.Fetch(t.Context(), address, client)
		if err != nil || len(again) != len(keys) {
			t.Fatalf("%q: %v, %v, and again %v", body, keys, err, again)
		}
		for id, key := range keys {
			public, ok := key.Public()
			same, _ := again[id].Public()
			if !ok || key.ID() != id || key.Algorithm() != "EdDSA" || !public.Equal(same) {
				t.Errorf("%q: under %q is %v", body, id, key)
			}
		}
	})
}
