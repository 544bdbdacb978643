package authn_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// cutter is a Verifier as services write them: its identities are parts of the token "<session>.<tenant>".
type cutter struct{}

func (cutter) Verify(_ context.Context, raw string) (*authn.Identity, error) {
	session, tenant, ok := strings.Cut(raw, ".")
	if !ok {
		return nil, authn.ErrTokenInvalid
	}
	return &authn.Identity{
		Subject: tenant, Tenant: tenant, Session: session, Role: tenant, TokenID: session, KeyID: tenant,
		ExpiresAt: time.Now().Add(10 * time.Minute),
	}, nil
}

func FuzzCacheOfCallersThatReuseTheMemoryOfTheirStrings(f *testing.F) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 10 {
		program := make([]byte, 200)
		for i := range program {
			program[i] = byte(rnd.Uint32())
		}
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		c, err := authn.NewCache(authn.CacheConfig{Verifier: cutter{}, MaxTokens: 5})
		if err != nil {
			t.Fatal(err)
		}
		var memory pgtest.Reused
		revoked := map[int]bool{}
		steps := 0
		verify := func(n int) {
			session, tenant := fmt.Sprintf("s%02d", n), fmt.Sprintf("t%02d", n)
			steps++
			memory.String(strings.Repeat("x", steps%7+1)) // the same token comes from another place
			id, err := c.Verify(t.Context(), memory.String(session+"."+tenant))
			if revoked[n] != errors.Is(err, authn.ErrTokenInvalid) {
				t.Fatalf("session %d, revoked %v: %v", n, revoked[n], err)
			}
			if err == nil && (id.Session != session || id.Tenant != tenant || id.Subject != tenant || id.Role != tenant ||
				id.TokenID != session || id.KeyID != tenant) {
				t.Fatalf("session %d is %+v", n, id)
			}
			memory.Next()
		}
		for ; len(program) > 1; program = program[2:] {
			n := int(program[1]) % 12
			if program[0]%4 > 0 {
				verify(n)
				continue
			}
			c.Revoke(memory.String(fmt.Sprintf("s%02d", n)))
			memory.Next()
			revoked[n] = true
		}
		for n := range 12 {
			verify(n)
		}
	})
}

func TestKeysKeepTheirIDsAndSecrets(t *testing.T) {
	t.Parallel()
	var memory pgtest.Reused
	seed := []byte(strings.Repeat("s", ed25519.SeedSize))
	whole := ed25519.NewKeyFromSeed(seed)
	public := append(ed25519.PublicKey(nil), whole.Public().(ed25519.PublicKey)...)
	hmac := []byte(strings.Repeat("h", authn.MinHMACKeyLength))
	signs := must(authn.NewEd25519Key(memory.String("ed"), whole))
	verifies := must(authn.NewEd25519PublicKey(memory.String("ed"), public))
	both := must(authn.NewHMACKey(memory.String("hm"), hmac))
	memory.Next()
	clear(whole)
	clear(public)
	clear(hmac)
	for _, keys := range [][2]authn.Key{{signs, verifies}, {both, both}} {
		issuer, verifier := newIssuer(t, keys[0]), newVerifier(t, keys[1])
		token, _, err := issuer.Issue(ada())
		if err != nil {
			t.Fatal(err)
		}
		if id, err := verifier.Verify(t.Context(), token); err != nil || id.KeyID != keys[0].ID() ||
			!verifier.HasKey(id.KeyID) {
			t.Errorf("%s: %+v, %v", keys[0], id, err)
		}
	}
}
