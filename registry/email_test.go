package registry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

func TestParseEmailFollowsItsRules(t *testing.T) {
	t.Parallel()
	if len(emailVectors) < 100 {
		t.Errorf("%d vectors, want 100", len(emailVectors))
	}
	for _, v := range emailVectors {
		e, err := registry.ParseEmail(v.typed)
		if e.Normalized() != v.normalized {
			t.Errorf("ParseEmail(%+q) = %q, want %q", v.typed, e.Normalized(), v.normalized)
		}
		if err == nil && e.Reveal() != strings.TrimSpace(v.typed) {
			t.Errorf("ParseEmail(%+q) reveals %q", v.typed, e.Reveal())
		}
		// The error itself, which holds nothing more.
		if v.normalized == "" && (err != registry.ErrInvalidEmail || !e.IsZero()) {
			t.Errorf("ParseEmail(%+q): %v, want ErrInvalidEmail", v.typed, err)
		}
	}
}

// TestNoRuneMakesTwoAddressesOne puts every letter that IDNA or NFKC might map to another into an address: accepted
// addresses that look different must be different, but for ASCII case.
func TestNoRuneMakesTwoAddressesOne(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"a%sb@example.com", "ann@a%sb.com", "ann%sexample.com", "ann@example%scom"} {
		typed := make(map[string]string) // by normalized form
		for _, r := range mappable() {
			address := fmt.Sprintf(form, string(r))
			e, err := registry.ParseEmail(address)
			if err != nil {
				continue
			}
			before, ok := typed[e.Normalized()]
			if ok && !equalInASCII(before, address) {
				t.Errorf("%+q and %+q are one", before, address)
			}
			typed[e.Normalized()] = address
		}
	}
}

// mappable returns Unicode without the large blocks that nothing is mapped from: ideographs, syllables, private use.
func mappable() (runes []rune) {
	for _, block := range [][2]rune{
		{0, 0x33ff}, {0xa000, 0xabff}, {0xf900, 0x11fff}, {0x1d000, 0x1ffff}, {0x2f800, 0x2fa1f}, {0xe0000, 0xe01ef},
	} {
		for r := block[0]; r <= block[1]; r++ {
			runes = append(runes, r)
		}
	}
	return runes
}

func equalInASCII(a, b string) bool {
	lower := func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}
	return strings.Map(lower, a) == strings.Map(lower, b)
}

func FuzzParseEmail(f *testing.F) {
	for _, v := range emailVectors {
		f.Add(v.typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		e, err := registry.ParseEmail(typed)
		if err != nil {
			if !e.IsZero() || !errors.Is(err, registry.ErrInvalidEmail) {
				t.Fatalf("%v", err)
			}
			return
		}
		n := e.Normalized()
		again, err := registry.ParseEmail(n)
		if err != nil || again.Normalized() != n {
			t.Fatalf("the normalized form of %+q, %q, is not its own: %v", typed, n, err)
		}
		if strings.Count(n, "@") != 1 || strings.ToLower(n) != n || len(n) > 254 {
			t.Fatalf("ParseEmail(%+q) = %q", typed, n)
		}
		for _, r := range n {
			if r <= ' ' || r > '~' {
				t.Fatalf("ParseEmail(%+q) = %+q", typed, n)
			}
		}
		// ASCII input differs from its normalized form in case alone.
		if trimmed := strings.TrimSpace(typed); !strings.EqualFold(trimmed, n) && isASCII(trimmed) {
			t.Fatalf("ParseEmail(%q) = %q", typed, n)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func TestEmailsAndKeysNeverPrint(t *testing.T) {
	t.Parallel()
	e := email(t, "ann@example.com")
	k := keyring.Key{ID: 7, Secret: []byte("verysecretkeyverysecretkeyverysecretkey")}
	ring := newKeyring(t, 7)
	type nested struct {
		Exported registry.Email
		hidden   registry.Email
		List     []registry.Email
		Map      map[string]registry.Email
	}
	n := nested{e, e, []registry.Email{e}, map[string]registry.Email{"k": e}}
	_ = n.hidden
	org := registry.Organization{Email: e}
	values := []any{
		e, &e, n, &n, org, &org,
		catalog.Claim{Admin: registry.Admin{Email: e}},
		&catalog.Reservation{Admin: registry.Admin{Email: e}},
		k, &k,
		[]keyring.Key{k},
		keyring.Config{Index: []keyring.Key{k}},
		ring, *ring,
	}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "% X", "%d", "%t", "%9.3s", "%z"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		if text, err := json.Marshal(v); err == nil {
			out.Write(text)
		}
	}
	fmt.Fprintf(&out, strings.Repeat("%w", 2), e, n) // a mistake, for which fmt calls no Format
	fmt.Fprintln(&out, e.String(), k.String(), fmt.Errorf("wrapped: %v", e))
	for _, secret := range []string{
		"ann@", "example.com", "verysecret", "616e6e40", "97 110 110", "118 101 114", "7665727973",
	} {
		if strings.Contains(strings.ToLower(out.String()), secret) {
			t.Errorf("%q was printed", secret)
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing was redacted")
	}
}
