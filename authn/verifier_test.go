package authn_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/authn"
)

const (
	issuerName = "https://auth.example.com"
	audience   = "api"
)

func ada() authn.Identity {
	return authn.Identity{Subject: "admin1", Tenant: "acme", Session: "session1", Role: "PRIMARY"}
}

func newIssuer(t testing.TB, key authn.Key) *authn.Issuer {
	t.Helper()
	i, err := authn.NewIssuer(authn.IssuerConfig{Key: key, Issuer: issuerName, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func newVerifier(t testing.TB, keys ...authn.Key) *authn.Verifier {
	t.Helper()
	v, err := authn.NewVerifier(authn.VerifierConfig{Keys: keys, Issuer: issuerName, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func issue(t testing.TB, key authn.Key) string {
	t.Helper()
	token, _, err := newIssuer(t, key).Issue(ada())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestIssuedTokensAreVerified(t *testing.T) {
	t.Parallel()
	half := must(authn.NewEd25519PublicKey("2026-11", public()))
	for name, keys := range map[string][2]authn.Key{
		"Ed25519":            {edKey(), edKey()},
		"Ed25519 public key": {edKey(), half},
		"HS256":              {hmacKey(), hmacKey()},
	} {
		want := ada()
		want.TokenID = "token1"
		token, expiresAt, err := newIssuer(t, keys[0]).Issue(want)
		if err != nil {
			t.Fatal(err)
		}
		want.KeyID, want.ExpiresAt = keys[0].ID(), expiresAt
		got, err := newVerifier(t, keys[1]).Verify(t.Context(), token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s: (-issued +verified)\n%s", name, diff)
		}
		if ttl := time.Until(expiresAt); ttl > 15*time.Minute || ttl < 14*time.Minute {
			t.Errorf("%s: expires in %v", name, ttl)
		}
	}
}

func TestIssueGivesEveryTokenAnID(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"": true}
	verifier := newVerifier(t, hmacKey())
	for range 100 {
		id, err := verifier.Verify(t.Context(), issue(t, hmacKey()))
		if err != nil || seen[id.TokenID] {
			t.Fatalf("token id %q, %v", id.TokenID, err)
		}
		seen[id.TokenID] = true
	}
}

func TestIssueRefusesHalfAnIdentity(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, edKey())
	for _, id := range []authn.Identity{
		{},
		{Tenant: "acme", Session: "s"},
		{Subject: "a", Session: "s"},
		{Subject: "a", Tenant: "acme"},
		{Subject: "a", Tenant: "acme", Session: strings.Repeat("s", authn.MaxTokenLength)},
	} {
		if token, _, err := issuer.Issue(id); err == nil || token != "" {
			t.Errorf("Issue(%.40v…) = %.20q…, %v", id, token, err)
		}
	}
}

func TestConstructorsReportEveryViolation(t *testing.T) {
	t.Parallel()
	half := must(authn.NewEd25519PublicKey("2026-11", public()))
	other := must(authn.NewHMACKey("other", []byte(secret)))
	newIssuer := func(cfg authn.IssuerConfig) error { _, err := authn.NewIssuer(cfg); return err }
	newVerifier := func(cfg authn.VerifierConfig) error { _, err := authn.NewVerifier(cfg); return err }
	for _, c := range []struct {
		err  error
		want []string
	}{
		{newIssuer(authn.IssuerConfig{}), []string{"IssuerConfig.Key:", "IssuerConfig.Issuer:", "IssuerConfig.Audience:"}},
		{newIssuer(authn.IssuerConfig{Key: half, Issuer: "i", Audience: "a"}), []string{"IssuerConfig.Key:"}},
		{newIssuer(authn.IssuerConfig{Key: edKey(), Issuer: "i", Audience: "a", TTL: -1}), []string{"IssuerConfig.TTL:"}},
		{
			newVerifier(authn.VerifierConfig{}),
			[]string{"VerifierConfig.Keys:", "VerifierConfig.Issuer:", "VerifierConfig.Audience:"},
		},
		{
			newVerifier(authn.VerifierConfig{Keys: []authn.Key{edKey(), {}, edKey(), other}, Issuer: "i", Audience: "a"}),
			[]string{"Keys[1]: zero key", "Keys[2]: second key", "Keys[3]: HS256 beside EdDSA"},
		},
	} {
		for _, want := range c.want {
			if c.err == nil || !strings.Contains(c.err.Error(), want) {
				t.Errorf("error %v does not say %q", c.err, want)
			}
		}
	}
}

func TestOldKeysVerifyWhileTheNewOneSigns(t *testing.T) {
	t.Parallel()
	next := must(authn.NewEd25519Key("2026-12", private(secret)))
	old, fresh := issue(t, edKey()), issue(t, next)
	both := newVerifier(t, next, edKey())
	for _, token := range []string{old, fresh} {
		if _, err := both.Verify(t.Context(), token); err != nil {
			t.Errorf("during the rotation: %v", err)
		}
	}
	if _, err := newVerifier(t, next).Verify(t.Context(), old); !errors.Is(err, authn.ErrTokenInvalid) {
		t.Errorf("after the rotation: %v", err)
	}
	// kid names the key, and no other is tried.
	swapped := newVerifier(t, must(authn.NewEd25519Key("2026-11", private(secret))),
		must(authn.NewEd25519Key("2026-12", private(seed))))
	if _, err := swapped.Verify(t.Context(), old); !errors.Is(err, authn.ErrTokenInvalid) {
		t.Errorf("with the keys' ids swapped: %v", err)
	}
}

func TestTokenIsGoodForItsTTLAndTheLeeway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		token := issue(t, edKey())
		verifier := newVerifier(t, edKey())
		strict, err := authn.NewVerifier(authn.VerifierConfig{
			Keys: []authn.Key{edKey()}, Issuer: issuerName, Audience: audience, Leeway: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for _, c := range []struct {
			at             time.Duration
			strict, normal error
		}{
			{0, nil, nil},
			{15*time.Minute - time.Nanosecond, nil, nil},
			{15 * time.Minute, authn.ErrTokenExpired, nil},
			{15*time.Minute + 30*time.Second - time.Nanosecond, authn.ErrTokenExpired, nil},
			{15*time.Minute + 30*time.Second, authn.ErrTokenExpired, authn.ErrTokenExpired},
		} {
			<-time.After(time.Until(start.Add(c.at)))
			if _, err := strict.Verify(t.Context(), token); !errors.Is(err, c.strict) {
				t.Errorf("after %v, no leeway: %v, want %v", c.at, err, c.strict)
			}
			if _, err := verifier.Verify(t.Context(), token); !errors.Is(err, c.normal) {
				t.Errorf("after %v: %v, want %v", c.at, err, c.normal)
			}
		}
	})
}

func TestContextCarriesTheIdentity(t *testing.T) {
	t.Parallel()
	if id, ok := authn.FromContext(context.Background()); ok || id != nil {
		t.Errorf("empty context: %v, %v", id, ok)
	}
	if id, ok := authn.FromContext(authn.NewContext(context.Background(), nil)); ok || id != nil {
		t.Errorf("nil identity: %v, %v", id, ok)
	}
	want := ada()
	if id, ok := authn.FromContext(authn.NewContext(context.Background(), &want)); !ok || id != &want {
		t.Errorf("got %v, %v", id, ok)
	}
}
