package authn_test

import (
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/authn"
)

const (
	salt16 = "AAECAwQFBgcICQoLDA0ODw"
	key32  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	phc    = "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + key32
	legacy = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
)

func badHashes() []string {
	swap := func(old, new string) string { return strings.Replace(phc, old, new, 1) }
	return []string{
		"", "$", "$$$$$", "password", phc[1:], phc + "$", phc + "\n", " " + phc, phc[:len(phc)-1], phc + "=",
		swap("argon2id", "argon2i"), swap("argon2id", "argon2d"), swap("argon2id", "Argon2id"), swap("argon2id", ""),
		swap("v=19", "v=16"), swap("v=19", "v=019"), swap("v=19$", ""), swap("v=19", "19"),
		swap("m=19456", "m=65537"), swap("m=19456", "m=4294967295"), swap("m=19456", "m=4294967296"), swap("m=19456", "m=7"),
		swap("m=19456", "m=0"), swap("m=19456", "m=-1"), swap("m=19456", "m=+19456"), swap("m=19456", "m=019456"),
		swap("m=19456", "m=0x4C00"), swap("m=19456", "m=19_456"), swap("m=19456", "M=19456"), swap("m=19456", "19456"),
		swap("m=19456", "m= 19456"), swap("m=19456,t=2", "t=2,m=19456"), swap("m=19456,", ""),
		swap("t=2", "t=0"), swap("t=2", "t=11"), swap("t=2", "t="), swap("t=2", "t=2,t=2"),
		swap("p=1", "p=0"), swap("p=1", "p=5"), swap("p=1", "p=256"), swap("p=1", "p=1,x=1"), swap(",p=1", ""),
		swap(salt16, ""), swap(salt16, "AAECAwQFBg"), swap(salt16, salt16+"=="), swap(salt16, "AAECAwQFBgcICQoLDA0OD_"),
		swap(salt16, "AAECAwQF\nBgcICQoLDA0ODw"), swap(salt16, "AAECAwQFBgcICQoLDA0ODx"), // bits after the end
		swap(key32, ""), swap(key32, salt16), swap(key32, "AAECAwQFBgcICQoLDA0O"), swap(key32,
			strings.Repeat("A", 87)), swap(key32, strings.Repeat("A", 4000)),
		swap("$"+key32, ""), phc + phc,
		legacy[:59], legacy + "x", strings.Replace(legacy, "$10$", "$15$", 1), strings.Replace(legacy, "$10$", "$03$", 1),
		strings.Replace(legacy, "$10$", "$31$", 1), strings.Replace(legacy, "$10$", "$+9$", 1),
		strings.Replace(legacy, "$10$", "$1$0", 1),
		strings.Replace(legacy, "$2a$", "$2x$", 1), strings.Replace(legacy, "$2a$", "$1a$", 1),
		strings.Replace(legacy, "$2a$", "$$a$", 1),
		strings.Replace(legacy, "N9qo", "N9q\n", 1), strings.Replace(legacy, "N9qo", "N9q=", 1), "$2$10$" + legacy[7:] + "xx",
	}
}

func TestHashesAreReadStrictly(t *testing.T) {
	t.Parallel()
	for _, s := range badHashes() {
		if _, _, _, err := authn.ParseHash(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	for _, s := range []string{phc, legacy, strings.Replace(phc, "m=19456,t=2,p=1", "m=65536,t=10,p=4", 1)} {
		if printed, _, _, err := authn.ParseHash(s); err != nil || printed != s {
			t.Errorf("%q was read as %q, %v", s, printed, err)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(phc)
	f.Add(legacy)
	for _, s := range badHashes() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		printed, memory, passes, err := authn.ParseHash(s)
		if err != nil {
			return
		}
		if printed != s {
			t.Errorf("%q was read as %q", s, printed)
		}
		if memory > 64<<10 || passes > 10 {
			t.Errorf("%q would cost %d KiB and %d passes", s, memory, passes)
		}
	})
}
