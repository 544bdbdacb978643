package authn_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
)

// Fixed, so that the tests can search printed text for them.
const (
	seed   = "an ed25519 seed of 32 bytes, yes"
	secret = "a secret for hs256 with 32 bytes"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func private(seed string) ed25519.PrivateKey { return ed25519.NewKeyFromSeed([]byte(seed)) }
func public() ed25519.PublicKey              { return ed25519.PublicKey(private(seed)[32:]) }
func edKey() authn.Key                       { return must(authn.NewEd25519Key("2026-11", private(seed))) }

func hmacKey() authn.Key { return must(authn.NewHMACKey("2026-11", []byte(secret))) }

func TestWeakKeysAreRefused(t *testing.T) {
	t.Parallel()
	whole := private(seed)
	foreign := slices.Concat([]byte(seed), private(secret)[32:])
	short := []byte(secret)[:31]
	long := []byte(secret)
	for name, make := range map[string]func() (authn.Key, error){
		"no private key":      func() (authn.Key, error) { return authn.NewEd25519Key("k", nil) },
		"short private key":   func() (authn.Key, error) { return authn.NewEd25519Key("k", whole[:63]) },
		"seed as private key": func() (authn.Key, error) { return authn.NewEd25519Key("k", whole.Seed()) },
		"zero private key": func() (authn.Key, error) {
			return authn.NewEd25519Key("k",
				ed25519.NewKeyFromSeed(zeros(32)))
		},
		"foreign public half":  func() (authn.Key, error) { return authn.NewEd25519Key("k", foreign) },
		"no public key":        func() (authn.Key, error) { return authn.NewEd25519PublicKey("k", nil) },
		"long public key":      func() (authn.Key, error) { return authn.NewEd25519PublicKey("k", ed25519.PublicKey(whole)) },
		"zero public key":      func() (authn.Key, error) { return authn.NewEd25519PublicKey("k", zeros(32)) },
		"no secret":            func() (authn.Key, error) { return authn.NewHMACKey("k", nil) },
		"short secret":         func() (authn.Key, error) { return authn.NewHMACKey("k", short) },
		"zero secret":          func() (authn.Key, error) { return authn.NewHMACKey("k", zeros(64)) },
		"no id":                func() (authn.Key, error) { return authn.NewHMACKey("", long) },
		"id with a path":       func() (authn.Key, error) { return authn.NewHMACKey("../k", long) },
		"id with a line break": func() (authn.Key, error) { return authn.NewEd25519Key("k\n", whole) },
		"id of 65 characters":  func() (authn.Key, error) { return authn.NewHMACKey(strings.Repeat("k", 65), long) },
		"public key, id with NUL": func() (authn.Key, error) {
			return authn.NewEd25519PublicKey("\x00", public())
		},
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func zeros(n int) []byte { return make([]byte, n) }

func TestKeyKeepsItsOwnCopy(t *testing.T) {
	t.Parallel()
	mine := []byte(secret)
	token := issue(t, must(authn.NewHMACKey("2026-11", mine)))
	verifier := newVerifier(t, must(authn.NewHMACKey("2026-11", mine)))
	clear(mine)
	if _, err := verifier.Verify(t.Context(), token); err != nil {
		t.Errorf("after the caller's bytes were cleared: %v", err)
	}
}

func TestKeysPrintNothingSecret(t *testing.T) {
	t.Parallel()
	for _, key := range []authn.Key{edKey(), hmacKey()} {
		issuer := newIssuer(t, key)
		verifier := newVerifier(t, key)
		type wrapper struct{ key authn.Key }
		values := []any{
			key, &key,
			wrapper{key},
			&wrapper{key}, issuer, verifier,
			[]authn.Key{key},
			map[string]authn.Key{"k": key},
			authn.IssuerConfig{Key: key},
			authn.VerifierConfig{Keys: []authn.Key{key}},
		}
		var out bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&out, nil))
		text := slog.New(slog.NewTextHandler(&out, nil))
		for _, v := range values {
			for verb := range strings.FieldsSeq("%v %+v %#v %s %q %x %X %d %o %b %c %U %p %T %e %z") {
				fmt.Fprintf(&out, verb+"\n", v)
			}
			log.Info("value", "v", v)
			text.Info("value", "v", v)
			data, _ := json.Marshal(v)
			out.Write(data)
		}
		if !strings.Contains(out.String(), key.ID()) {
			t.Error("the id of the key was not printed")
		}
		for _, s := range spellings(seed, secret) {
			if strings.Contains(out.String(), s) {
				t.Errorf("%s: the secret is printed, as %q", key.Algorithm(), s)
			}
		}
	}
}

// spellings returns the ways in which fmt, encoding/json and slog print the first bytes of secrets.
func spellings(secrets ...string) []string {
	var all []string
	for _, s := range secrets {
		s = s[:8]
		decimal := strings.Trim(fmt.Sprintf("%d", []byte(s)), "[]")
		all = append(all, s, decimal, strings.ReplaceAll(decimal, " ", ", "), strings.ReplaceAll(decimal, " ", ","),
			hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))), fmt.Sprintf("% x", s),
			strings.Trim(fmt.Sprintf("%#v", []byte(s)), "[]byte{}"), base64.StdEncoding.EncodeToString([]byte(s))[:10],
			strings.Trim(fmt.Sprintf("%o", []byte(s)), "[]"), strings.Trim(fmt.Sprintf("%b", []byte(s)), "[]"))
	}
	return all
}
