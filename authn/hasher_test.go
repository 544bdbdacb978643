package authn_test

import (
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/pgtenancy/pgtenancy/authn"
)

const good = "correct horse battery staple"

// cheap is a configuration that costs next to nothing.
func cheap() authn.HasherConfig { return authn.HasherConfig{MemoryKiB: 64, Time: 1} }

func newHasher(t testing.TB, cfg authn.HasherConfig) *authn.Hasher {
	t.Helper()
	h, err := authn.NewHasher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func hashOf(t testing.TB, h *authn.Hasher, password string) string {
	t.Helper()
	encoded, err := h.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func bcryptOf(t testing.TB, password string) string {
	t.Helper()
	encoded, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func TestDefaultsAreOWASPsMinimum(t *testing.T) {
	t.Parallel()
	h := newHasher(t, authn.HasherConfig{})
	encoded := hashOf(t, h, good)
	if !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %q has other parameters", encoded)
	}
	if m, err := h.Verify(t.Context(), good, encoded); err != nil || m != (authn.Match{OK: true}) {
		t.Errorf("Verify: %+v, %v", m, err)
	}
}

func TestHashesOfOnePasswordDiffer(t *testing.T) {
	t.Parallel()
	h := newHasher(t, cheap())
	first, second := hashOf(t, h, good), hashOf(t, h, good)
	if first == second {
		t.Error("two hashes have one salt")
	}
}

func TestNewHasherReportsEveryViolation(t *testing.T) {
	t.Parallel()
	_, err := authn.NewHasher(authn.HasherConfig{MemoryKiB: 65537, Concurrency: -1})
	if err == nil || !strings.Contains(err.Error(), "MemoryKiB") || !strings.Contains(err.Error(), "Concurrency") {
		t.Errorf("error %v does not name both fields", err)
	}
	for _, cfg := range []authn.HasherConfig{{Time: 11}, {Threads: 5}, {MemoryKiB: 31, Threads: 4}} {
		if _, err := authn.NewHasher(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestHashRefusesBadPasswords(t *testing.T) {
	t.Parallel()
	h := newHasher(t, cheap())
	for password, want := range map[string]error{
		"":                             authn.ErrPasswordTooShort,
		"sevench":                      authn.ErrPasswordTooShort,
		"ééééééé":                      authn.ErrPasswordTooShort, // 14 bytes, 7 characters
		"éééééééé":                     nil,
		"PassWord123":                  authn.ErrPasswordCommon,
		"12345678":                     authn.ErrPasswordCommon,
		"with\x00nul in it":            nil,
		strings.Repeat("x", 1024):      nil,
		strings.Repeat("x", 1025):      authn.ErrPasswordTooLong,
		strings.Repeat("a", 1_000_000): authn.ErrPasswordTooLong,
	} {
		before := h.Runs()
		_, err := h.Hash(t.Context(), password)
		if !errors.Is(err, want) {
			t.Errorf("Hash(%.20q…): %v, want %v", password, err, want)
		}
		if runs := h.Runs() - before; err != nil && runs != 0 {
			t.Errorf("Hash(%.20q…) ran %d KDFs before it refused", password, runs)
		}
	}
}

func TestVerifyComparesEveryByte(t *testing.T) {
	t.Parallel()
	h := newHasher(t, cheap())
	long := strings.Repeat("p", 80)
	for _, password := range []string{
		good, long[:72], long[:73], long[:74], "with\x00nul in it", "pa\u0301ssword ünicode", long + long,
	} {
		encoded := hashOf(t, h, password)
		for _, other := range []string{
			password + "x", password + "\x00", password[:len(password)-1], strings.ToUpper(password), " " + password, "",
			"p\u00e1ssword ünicode", strings.Repeat(password, 100),
		} {
			if m, err := h.Verify(t.Context(), other, encoded); err != nil || m.OK || m.Rehash {
				t.Errorf("hash of %q matches %.40q: %+v, %v", password, other, m, err)
			}
		}
		if m, err := h.Verify(t.Context(), password, encoded); err != nil || !m.OK {
			t.Errorf("hash of %q does not match it: %+v, %v", password, m, err)
		}
	}
}

func TestVerifyHashesNoPasswordThatIsTooLong(t *testing.T) {
	t.Parallel()
	const salt = "0123456789abcdef"
	hashOf := func(password string) string {
		key := argon2.IDKey([]byte(password), []byte(salt), 1, 64, 1, 32)
		encode := base64.RawStdEncoding.EncodeToString
		return "$argon2id$v=19$m=64,t=1,p=1$" + encode([]byte(salt)) + "$" + encode(key)
	}
	h := newHasher(t, cheap())
	for length, want := range map[int]bool{1023: true, 1024: true, 1025: false, 1 << 20: false} {
		password := strings.Repeat("x", length)
		if m, err := h.Verify(t.Context(), password, hashOf(password)); err != nil || m.OK != want {
			t.Errorf("%d bytes: %+v, %v", length, m, err)
		}
	}
}

func TestBcryptIsVerifiedAndAsksForRehash(t *testing.T) {
	t.Parallel()
	h := newHasher(t, cheap())
	encoded := bcryptOf(t, good)
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		encoded := prefix + encoded[4:]
		if m, err := h.Verify(t.Context(), good, encoded); err != nil || m != (authn.Match{OK: true, Rehash: true}) {
			t.Errorf("%s: %+v, %v", prefix, m, err)
		}
		if m, err := h.Verify(t.Context(), good+"x", encoded); err != nil || m != (authn.Match{}) {
			t.Errorf("%s, wrong password: %+v, %v", prefix, m, err)
		}
	}
}

func TestBcryptMatchesNoPasswordItCannotTellFromAnother(t *testing.T) {
	t.Parallel()
	h := newHasher(t, cheap())
	full := strings.Repeat("x", 72)
	for _, c := range []struct{ stored, given string }{
		{full, full + "y"},
		{full, full + "yz"},
		{full, full + "\x00"},
		{full, strings.Repeat("x", 1024)},
		{"abc", "abc\x00abc"},
		{"abc", "abc\x00"},
	} {
		encoded := bcryptOf(t, c.stored)
		if m, err := h.Verify(t.Context(), c.given, encoded); err != nil || m.OK {
			t.Errorf("hash of %.10q… matches %d bytes %.10q…: %+v, %v", c.stored, len(c.given), c.given, m, err)
		}
		if m, err := h.Verify(t.Context(), c.stored, encoded); err != nil || !m.OK {
			t.Errorf("hash of %.10q… does not match it: %+v, %v", c.stored, m, err)
		}
	}
}

func TestWeakerHashAsksForRehashOnlyWhenThePasswordIsRight(t *testing.T) {
	t.Parallel()
	policy := newHasher(t, authn.HasherConfig{MemoryKiB: 128, Time: 2})
	for _, c := range []struct {
		cfg    authn.HasherConfig
		rehash bool
	}{
		{authn.HasherConfig{MemoryKiB: 64, Time: 2}, true},
		{authn.HasherConfig{MemoryKiB: 128, Time: 1}, true},
		{authn.HasherConfig{MemoryKiB: 128, Time: 2}, false},
		{authn.HasherConfig{MemoryKiB: 256, Time: 3}, false},
	} {
		encoded := hashOf(t, newHasher(t, c.cfg), good)
		if m, err := policy.Verify(t.Context(), good, encoded); err != nil || m != (authn.Match{OK: true, Rehash: c.rehash}) {
			t.Errorf("%q: %+v, %v", encoded, m, err)
		}
		if m, err := policy.Verify(t.Context(), "wrong", encoded); err != nil || m != (authn.Match{}) {
			t.Errorf("%q, wrong password: %+v, %v", encoded, m, err)
		}
	}
}

func TestEveryPathOfASignInRunsOneKDF(t *testing.T) {
	t.Parallel()
	h := newHasher(t, cheap())
	argon, old := hashOf(t, h, good), bcryptOf(t, good)
	verify := func(password, encoded string) func() error {
		return func() error { _, err := h.Verify(t.Context(), password, encoded); return err }
	}
	for name, c := range map[string]struct {
		call func() error
		want error
	}{
		"right password":        {verify(good, argon), nil},
		"wrong password":        {verify("wrong", argon), nil},
		"empty password":        {verify("", argon), nil},
		"too long a password":   {verify(strings.Repeat("x", 1<<20), argon), nil},
		"bcrypt":                {verify(good, old), nil},
		"bcrypt, wrong":         {verify("wrong", old), nil},
		"bcrypt, too long":      {verify(strings.Repeat("x", 73), old), nil},
		"malformed hash":        {verify(good, "$argon2id$v=18"+argon[14:]), authn.ErrInvalidHash},
		"no hash":               {verify(good, ""), authn.ErrInvalidHash},
		"too dear a hash":       {verify(good, strings.Replace(argon, "m=64", "m=4194304", 1)), authn.ErrInvalidHash},
		"too dear a bcrypt":     {verify(good, "$2a$15$"+old[7:]), authn.ErrInvalidHash},
		"no account":            {func() error { return h.Spend(t.Context(), good) }, nil},
		"no account, too long":  {func() error { return h.Spend(t.Context(), strings.Repeat("x", 1<<20)) }, nil},
		"no account, no answer": {func() error { return h.Spend(t.Context(), "") }, nil},
	} {
		before := h.Runs()
		if err := c.call(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if runs := h.Runs() - before; runs != 1 {
			t.Errorf("%s: %d KDF runs", name, runs)
		}
	}
}

func TestSpendTakesTheMemoryThatVerifyTakes(t *testing.T) {
	h := newHasher(t, authn.HasherConfig{MemoryKiB: 4096, Time: 1})
	encoded := hashOf(t, h, good)
	verify := bytesOf(func() { _, _ = h.Verify(t.Context(), good, encoded) })
	spend := bytesOf(func() { _ = h.Spend(t.Context(), good) })
	if spend < verify*98/100 || spend > verify*102/100 || spend < 4<<20 {
		t.Errorf("Spend takes %d bytes, Verify %d", spend, verify)
	}
}

func TestHashesAreBoundedAndTheQueueToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := cheap()
		cfg.Concurrency, cfg.Queue, cfg.QueueWait = 2, 3, time.Second
		h := newHasher(t, cfg)
		end := make(chan struct{})
		for range 2 {
			go func() { _ = h.Run(t.Context(), func() { <-end }) }()
		}
		synctest.Wait()
		answers := make(chan error, 3)
		for range 3 {
			go func() { answers <- h.Spend(t.Context(), good) }()
		}
		synctest.Wait()

		start := time.Now()
		if err := h.Spend(t.Context(), good); !errors.Is(err, authn.ErrBusy) || time.Since(start) != 0 {
			t.Errorf("full queue: %v after %v", err, time.Since(start))
		}
		for range 3 {
			if err := <-answers; !errors.Is(err, authn.ErrBusy) || time.Since(start) != time.Second {
				t.Errorf("waited: %v after %v", err, time.Since(start))
			}
		}
		close(end)
		synctest.Wait()
		if err := h.Spend(t.Context(), good); err != nil {
			t.Errorf("after the hashes have ended: %v", err)
		}
		if h.Runs() != 3 {
			t.Errorf("%d hashes ran, want 3: those refused must not run", h.Runs())
		}
	})
}

// TestHashesLeaveHalfOfTheCPUs guards requests that hash nothing: on two CPUs, hashes on both made their p99 27 ms
// during a flood of sign-ins, and 5 ms on one.
func TestHashesLeaveHalfOfTheCPUs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, authn.HasherConfig{MemoryKiB: 64, Time: 1, Queue: -1})
		end := make(chan struct{})
		answers := make(chan error, runtime.GOMAXPROCS(0))
		for range cap(answers) {
			go func() { answers <- h.Run(t.Context(), func() { <-end }) }()
		}
		synctest.Wait()
		want := max(1, runtime.GOMAXPROCS(0)/2)
		if refused := len(answers); refused != cap(answers)-want {
			t.Errorf("%d of %d hashes were refused, want %d to run", refused, cap(answers), want)
		}
		close(end)
		synctest.Wait()
	})
}

func TestContextLeavesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := cheap()
		cfg.Concurrency, cfg.Queue = 1, 1
		h := newHasher(t, cfg)
		end := make(chan struct{})
		go func() { _ = h.Run(t.Context(), func() { <-end }) }()
		synctest.Wait()
		for range 3 { // the one place in the queue comes free each time
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := h.Spend(ctx, good); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waiting with a deadline: %v", err)
			}
			cancel()
			if _, err := h.Hash(ctx, good); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with a context that has ended: %v", err)
			}
		}
		close(end)
	})
}

func TestPermitBelongsToTheHashNotToTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := cheap()
		cfg.Concurrency, cfg.Queue = 1, -1
		h := newHasher(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan struct{})
		go func() { _ = h.Run(ctx, func() { <-end }) }()
		synctest.Wait()
		cancel() // the client goes, the hash runs on
		synctest.Wait()
		if err := h.Spend(t.Context(), good); !errors.Is(err, authn.ErrBusy) {
			t.Errorf("a second hash was let in beside the first: %v", err)
		}
		close(end)
		synctest.Wait()
		if err := h.Spend(t.Context(), good); err != nil {
			t.Errorf("after the hash has ended: %v", err)
		}
	})
}

func TestPanicInAHashGivesThePermitBack(t *testing.T) {
	t.Parallel()
	cfg := cheap()
	cfg.Concurrency, cfg.Queue = 1, -1
	h := newHasher(t, cfg)
	func() {
		defer func() { _ = recover() }()
		_ = h.Run(t.Context(), func() { panic("kdf") })
	}()
	if err := h.Spend(t.Context(), good); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}
