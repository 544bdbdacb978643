package authn_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
)

func FuzzVerify(f *testing.F) {
	verifier := newVerifier(f, edKey())
	f.Add(issue(f, edKey()))
	for _, token := range badTokens() {
		if len(token) <= authn.MaxTokenLength {
			f.Add(token)
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := verifier.Verify(t.Context(), token)
		if err == nil && (token != resigned(token) || id.Tenant != ada().Tenant) {
			t.Errorf("%q was accepted as %+v", token, id)
		}
		if err != nil && (id != nil || !errors.Is(err, authn.ErrTokenInvalid) && !errors.Is(err, authn.ErrTokenMissing) &&
			!errors.Is(err, authn.ErrTokenExpired)) {
			t.Errorf("%q: %+v, %v", token, id, err)
		}
	})
}

// resigned returns token with its signature made anew: Ed25519 makes one and the same.
func resigned(token string) string {
	text := token[:strings.LastIndexByte(token, '.')]
	return text + "." + segment(eddsa([]byte(text)))
}

// FuzzClaims signs whatever it is given, so that it gets past the signature.
func FuzzClaims(f *testing.F) {
	verifier := newVerifier(f, edKey())
	f.Add(edHeader, payload(nil))
	f.Add(edHeader, `{"tid":"a","TID":"b"}`)
	f.Add(`{"alg":"none"}`, `null`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		id, err := verifier.Verify(t.Context(), forge(header, payload, eddsa))
		if err != nil {
			return
		}
		// A reader that knows nothing of ours and takes names as they are must see the same tenant.
		var claims map[string]any
		if err := json.Unmarshal([]byte(payload), &claims); err != nil {
			t.Fatalf("%q was accepted: %v", payload, err)
		}
		if claims["tid"] != id.Tenant || claims["sub"] != id.Subject || id.Tenant == "" || id.Subject == "" {
			t.Errorf("%q was read as %+v", payload, id)
		}
	})
}

func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"a":[{}]}}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(`{"a":1}x`))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := authn.Members(data)
		if err != nil {
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(data, &object); err != nil {
			t.Fatalf("%q: names %q, but %v", data, names, err)
		}
		if len(object) != len(names) {
			t.Errorf("%q has the names %q", data, names)
		}
		for name := range object {
			if !slices.Contains(names, name) {
				t.Errorf("%q: %q is missing in %q", data, name, names)
			}
		}
	})
}
