package authn_test

import (
	"context"
	_ "embed"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
)

//go:embed common.txt
var commonest string

func TestAttackerTriesTheCommonestPasswords(t *testing.T) {
	t.Parallel()
	h := newHasher(t, authn.HasherConfig{MemoryKiB: 8, Time: 1})
	words := strings.Fields(commonest)
	if len(words) < 3000 { // OWASP ASVS 5.0, 6.2.4
		t.Fatalf("the list has %d passwords", len(words))
	}
	for _, w := range words {
		if err := h.Check(w); !errors.Is(err, authn.ErrPasswordCommon) {
			t.Errorf("%q: %v", w, err)
		}
	}
	for _, w := range []string{
		"michael1", "12qwaszx", "blink182", "steelers", "metallic", "rush2112", "Steelers", "PASSWORD", words[0],
		words[len(words)-1],
	} {
		if err := h.Check(w); !errors.Is(err, authn.ErrPasswordCommon) {
			t.Errorf("%q: %v", w, err)
		}
	}
	for _, w := range []string{"correct horse battery staple", "drei Hühner am Zaun", "xq7-ruft-blau"} {
		if err := h.Check(w); err != nil {
			t.Errorf("%q: %v", w, err)
		}
	}
}

func TestAttackerTriesPasswordsThatCannotBeSeen(t *testing.T) {
	t.Parallel()
	h := newHasher(t, authn.HasherConfig{MemoryKiB: 8, Time: 1})
	for password, want := range map[string]error{
		strings.Repeat(" ", 8):             authn.ErrPasswordTooShort,
		strings.Repeat("\u200b", 8):        authn.ErrPasswordTooShort,
		strings.Repeat("\u3164", 8):        authn.ErrPasswordTooShort, // a letter to Unicode, and nothing to see
		"a" + strings.Repeat("\u200b", 40): authn.ErrPasswordTooShort,
		"        abc        ":              authn.ErrPasswordTooShort,
		strings.Repeat("\x00", 12):         authn.ErrPasswordTooShort,
		"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8": authn.ErrPasswordInvalid,
		"quite long, but \xc0\xc1":         authn.ErrPasswordInvalid,
		"quite long, but \ufffd":           authn.ErrPasswordInvalid,
		strings.Repeat("\xff", 2000):       authn.ErrPasswordInvalid,
		strings.Repeat("long ", 205):       authn.ErrPasswordTooLong,
		"a b c d e":                        nil,
		"пароль из слов":                   nil,
		"🙂🙃😀😁😂🤣😃😄":                         nil,
	} {
		if err := h.Check(password); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
		if _, err := h.Hash(t.Context(), password); !errors.Is(err, want) {
			t.Errorf("hash of %q: %v, want %v", password, err, want)
		}
	}
}

func TestAttackerTriesNamesThatEverybodyKnows(t *testing.T) {
	t.Parallel()
	h := newHasher(t, authn.HasherConfig{MemoryKiB: 8, Time: 1, ContextWords: []string{"ChurchDesk"}})
	for password, want := range map[string]error{
		"churchdesk":            authn.ErrPasswordContext,
		"ChurchDesk2026!":       authn.ErrPasswordContext,
		"grace-berlin":          authn.ErrPasswordContext,
		"GraceBerlin2026":       authn.ErrPasswordContext,
		"lovelace1815":          authn.ErrPasswordContext,
		"ada.lovelace":          authn.ErrPasswordContext,
		"parish-office":         authn.ErrPasswordContext,
		"berlin wall of sound":  nil,
		"an ada of eight words": nil, // words of three letters are parts of others
	} {
		if err := h.Check(password, "Grace Church, Berlin", "ada.lovelace@parish-office.example"); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
	}
	if err := h.Check("GraceBerlin2026"); err != nil {
		t.Errorf("where nothing is known of the user: %v", err)
	}
	if _, err := h.Hash(t.Context(), "churchdesk-1"); !errors.Is(err, authn.ErrPasswordContext) {
		t.Errorf("Hash: %v", err)
	}
}

func TestBreachedPasswordsAreRefusedWhileTheListAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked, most, now atomic.Int64
		h := newHasher(t, authn.HasherConfig{
			MemoryKiB: 8, Time: 1, Queue: 200,
			Breached: func(ctx context.Context, password string) (bool, error) {
				asked.Add(1)
				defer now.Add(-1)
				for n := now.Add(1); most.Load() < n; {
					most.CompareAndSwap(most.Load(), n)
				}
				switch password {
				case "hangs for ever":
					<-ctx.Done()
					return true, ctx.Err()
				case "cannot be asked":
					return true, errors.New("down")
				}
				return password == "known from a breach", nil
			},
		})
		if _, err := h.Hash(t.Context(), "known from a breach"); !errors.Is(err, authn.ErrPasswordBreached) {
			t.Errorf("a breached password: %v", err)
		}
		start := time.Now()
		for _, password := range []string{"is not known", "cannot be asked", "hangs for ever"} {
			if _, err := h.Hash(t.Context(), password); err != nil {
				t.Errorf("%q: %v", password, err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("a list that hangs took %v, want 2 s", took)
		}
		before := asked.Load()
		if _, err := h.Hash(t.Context(), "password"); !errors.Is(err, authn.ErrPasswordCommon) || asked.Load() != before {
			t.Errorf("a common password: %v; the list was asked", err)
		}
		if _, err := h.Rehash(t.Context(), "password"); err != nil || asked.Load() != before {
			t.Errorf("a password in use: %v", err)
		}
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if _, err := h.Hash(t.Context(), "hangs for ever"); err != nil && !errors.Is(err, authn.ErrBusy) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 16 {
			t.Errorf("%d calls were under way at once, want 16", most.Load())
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	h := newHasher(b, authn.HasherConfig{})
	for b.Loop() {
		_ = h.Check("correct horse battery staple", "Grace Church, Berlin", "ada@example.org")
	}
}
