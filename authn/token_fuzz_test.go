package authn_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
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
		checkToken(t, verifier, token)
	})
}

// checkToken reports whether token is accepted. Only a token that was signed as it is may be.
func checkToken(t *testing.T, verifier *authn.Verifier, token string) bool {
	t.Helper()
	id, err := verifier.Verify(t.Context(), token)
	if err == nil && (token != resigned(token) || id.Tenant != ada().Tenant) {
		t.Errorf("%q was accepted as %+v", token, id)
	}
	if err != nil && (id != nil || !errors.Is(err, authn.ErrTokenInvalid) && !errors.Is(err, authn.ErrTokenMissing) &&
		!errors.Is(err, authn.ErrTokenExpired)) {
		t.Errorf("%q: %+v, %v", token, id, err)
	}
	return err == nil
}

// TestMillionsOfTokensAreRefused does what FuzzVerify and FuzzMembers do, faster.
func TestMillionsOfTokensAreRefused(t *testing.T) {
	t.Parallel()
	verifier := newVerifier(t, edKey())
	good := issue(t, edKey())
	seeds := []string{good, good, good}
	for _, token := range badTokens() {
		if len(token) <= 4096 {
			seeds = append(seeds, token)
		}
	}
	all, whole := pgtest.Size(20_000, 5_000_000), 0
	for token := range pgtest.Mutations(all, seeds) {
		if checkToken(t, verifier, token) {
			whole++ // two changes took each other back
		}
	}
	objects := 0
	for text := range pgtest.Mutations(all, []string{payload(nil), edHeader, `{"a":1,"A":{"a":[{}]}}`}) {
		if checkMembers(t, []byte(text)) {
			objects++
		}
	}
	if whole == all || objects == 0 {
		t.Error("nothing was altered, or no object was left: that shows nothing")
	}
	pgtest.Figure(t, "S1",
		"%d altered tokens: the %d that were as they were signed accepted, no other; %d altered texts of "+
			"JSON, %d of them objects: each read as encoding/json reads it", all, whole, all, objects)
}

// resigned returns token with its signature made anew: Ed25519 makes one and the same.
func resigned(token string) string {
	text := token[:strings.LastIndexByte(token, '.')]
	return text + "." + segment(eddsa([]byte(text)))
}

// FuzzClaims signs its input, so that it gets past the signature.
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
		checkMembers(t, data)
	})
}

// checkMembers reports whether data is an object, and that encoding/json finds the same members.
func checkMembers(t *testing.T, data []byte) bool {
	t.Helper()
	names, err := authn.Members(data)
	if err != nil {
		return false
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
	return true
}
