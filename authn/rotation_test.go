package authn_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
)

func TestKeysChangeInAProcessAtWork(t *testing.T) {
	t.Parallel()
	next := must(authn.NewEd25519Key("2026-12", private(secret)))
	issuer, verifier := newIssuer(t, edKey()), newVerifier(t, edKey())
	cache, err := authn.NewCache(authn.CacheConfig{Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	sign := func() string { token, _, err := issuer.Issue(ada()); return must(token, err) }
	verify := func(token string) error {
		_, direct := verifier.Verify(t.Context(), token)
		_, cached := cache.Verify(t.Context(), token)
		if !errors.Is(cached, direct) {
			t.Errorf("the cache says %v, the verifier %v", cached, direct)
		}
		return direct
	}
	old := sign()
	for _, step := range []error{
		verify(old), verifier.SetKeys(edKey(), next), verify(old), issuer.SetKey(next), verify(old), verify(sign()),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	// Broken sets change nothing.
	if verifier.SetKeys() == nil || verifier.SetKeys(next, hmacKey()) == nil || issuer.SetKey(authn.Key{}) == nil {
		t.Error("a broken set was accepted")
	}
	if err := errors.Join(verify(old), verify(sign())); err != nil {
		t.Error(err)
	}
	if err := verifier.SetKeys(next); err != nil {
		t.Fatal(err)
	}
	if err := verify(old); !errors.Is(err, authn.ErrTokenInvalid) {
		t.Errorf("a token of a key that is gone: %v", err)
	}
	if id, err := cache.Verify(t.Context(), sign()); err != nil || id.KeyID != "2026-12" {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestKeysMayChangeWhileTokensAreMadeAndVerified(t *testing.T) {
	t.Parallel()
	keys := []authn.Key{edKey(), must(authn.NewEd25519Key("2026-12", private(secret)))}
	issuer, verifier := newIssuer(t, keys[0]), newVerifier(t, keys...)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 50 {
				token, _, err := issuer.Issue(ada())
				if err == nil {
					_, err = verifier.Verify(t.Context(), token)
				}
				if err := errors.Join(err, issuer.SetKey(keys[i%2]), verifier.SetKeys(keys[i%2], keys[1-i%2])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// source is a KeySource with one key, or an error.
type source struct {
	key   authn.Key
	err   error
	asked []string
}

func (s *source) HasKey(id string) bool { return id == s.key.ID() }

func (s *source) Key(_ context.Context, id string) (authn.Key, error) {
	s.asked = append(s.asked, id)
	return s.key, s.err
}

func TestSourceIsAskedForNothingButKeyIDs(t *testing.T) {
	t.Parallel()
	s := &source{key: edKey()}
	verifier, err := authn.NewVerifier(authn.VerifierConfig{Source: s, Issuer: issuerName, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range badTokens() {
		if id, err := verifier.Verify(t.Context(), token); !errors.Is(err, authn.ErrTokenInvalid) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	for _, id := range s.asked {
		if id == "" || len(id) > 64 || strings.ContainsAny(id, "/:'\x00 ") {
			t.Errorf("asked for the key %q", id)
		}
	}
	if !verifier.HasKey("2026-11") || verifier.HasKey("2026-10") {
		t.Error("HasKey is not the source's")
	}
	if verifier.SetKeys(edKey()) == nil {
		t.Error("keys were set beside a source")
	}
	s.asked = nil
	s.key, s.err = authn.Key{}, nil // a source that is wrong
	if _, err := verifier.Verify(t.Context(), signed(nil)); !errors.Is(err, authn.ErrTokenInvalid) || len(s.asked) != 1 {
		t.Errorf("zero key: %v, asked for %q", err, s.asked)
	}
	s.err = errors.New("down")
	if _, err := verifier.Verify(t.Context(), signed(nil)); err != s.err {
		t.Errorf("source that could not say: %v", err)
	}
	_, err = authn.NewVerifier(authn.VerifierConfig{Source: s, Keys: []authn.Key{edKey()}, Issuer: "i", Audience: "a"})
	if err == nil || !strings.Contains(err.Error(), "VerifierConfig.Source:") {
		t.Errorf("keys and a source: %v", err)
	}
}

func TestPublicHalfIsAllThatIsPublic(t *testing.T) {
	t.Parallel()
	half, ok := edKey().Public()
	if !ok || !half.Equal(public()) {
		t.Errorf("public half %x, %v", half, ok)
	}
	clear(half)
	if again, _ := edKey().Public(); !again.Equal(public()) {
		t.Error("the key's own bytes were given away")
	}
	for name, key := range map[string]authn.Key{"HMAC": hmacKey(), "zero": {}} {
		if half, ok := key.Public(); ok || half != nil {
			t.Errorf("%s key: %x", name, half)
		}
	}
}
