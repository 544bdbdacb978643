package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/idna"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
)

// No admin gets at another's account with an address that some mapping of Unicode makes the same: not with those which
// hold any rune that compatibility, width or case folding turns into ASCII, and, in the long form, not with any rune.
func TestAcceptedAddressesAreOneOnlyIfTheyMeanTheSame(t *testing.T) {
	t.Parallel()
	lookalikes := asciiLookalikes()
	if len(lookalikes) < 1000 {
		t.Fatalf("%d runes that fold to ASCII: the fold does not work", len(lookalikes))
	}
	for _, r := range []rune{'\u0130', '\u212a', '\u017f', '\uff20', '\ufe6b', '\uff0e'} {
		if lookalikes[r] == "" {
			t.Errorf("%+q is not among them", r)
		}
	}
	c := corpus{t: t, typed: make(map[string]string)}
	for _, v := range emailVectors {
		c.add(v.typed)
	}
	for _, typed := range []string{
		"j.doe@gmail.com", "jdoe@gmail.com", "jd.oe@gmail.com", "jdoe+x@gmail.com",
		"jdoe@googlemail.com",
	} {
		c.add(typed)
	}
	forms := []string{"a%sb@example.com", "ann@a%sb.com", "ann%sexample.com", "ann@example%scom"}
	for r, ascii := range lookalikes {
		for _, form := range forms {
			c.add(fmt.Sprintf(form, string(r)))
			c.add(fmt.Sprintf(form, ascii)) // what it would be taken for
		}
	}
	for r := range pgtest.Size(rune(0), unicode.MaxRune+1) {
		for _, form := range forms {
			c.add(fmt.Sprintf(form, string(r)))
		}
	}
	defer pgtest.Figure(t, "S7", "%d addresses, among them all %d runes that fold to ASCII; %d accepted, %d "+
		"collisions, %d whose normalized form is not its own",
		c.tried, len(lookalikes), c.accepted, c.collisions, c.unstable)
	if c.collisions+c.unstable > 0 || c.accepted < 100 {
		t.Errorf("%d collisions, %d unstable, want none; %d accepted, want 100 at least", c.collisions, c.unstable,
			c.accepted)
	}
}

// corpus is a set of addresses that were typed.
type corpus struct {
	t                                     *testing.T
	typed                                 map[string]string // by normalized form
	tried, accepted, collisions, unstable int
}

func (c *corpus) add(typed string) {
	c.tried++
	e, err := registry.ParseEmail(typed)
	if err != nil {
		return
	}
	c.accepted++
	n := e.Normalized()
	if again, err := registry.ParseEmail(n); err != nil || again.Normalized() != n {
		c.unstable++
		c.t.Errorf("the normalized form of %+q, %+q, is not its own: %v", typed, n, err)
	}
	before, ok := c.typed[n]
	if ok && meaning(before) != meaning(typed) {
		c.collisions++
		c.t.Errorf("%+q and %+q are one", before, typed)
	}
	c.typed[n] = typed
}

// meaning is what an address says without any mapping but that of A to Z, with its domain in ASCII.
func meaning(typed string) string {
	lower := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, strings.TrimSpace(typed))
	local, domain, _ := strings.Cut(lower, "@")
	ascii, err := idna.Punycode.ToASCII(domain) // encodes, and maps nothing
	if err != nil {
		ascii = domain
	}
	return local + "@" + ascii
}

// asciiLookalikes returns the runes outside of ASCII that compatibility mapping and case folding (UTS 46, which is
// built on both) or a change of case turn into ASCII, and what they become.
func asciiLookalikes() map[rune]string {
	fold := idna.New(idna.MapForLookup(), idna.StrictDomainName(false), idna.CheckHyphens(false),
		idna.ValidateLabels(false))
	found := make(map[rune]string)
	for r := rune(unicode.MaxASCII + 1); r <= unicode.MaxRune; r++ {
		if 0xd800 <= r && r <= 0xdfff {
			continue
		}
		if folded, err := fold.ToUnicode(string(r)); err == nil && folded != "" && isASCII(folded) {
			found[r] = folded
			continue
		}
		for _, other := range []rune{unicode.ToLower(r), unicode.ToUpper(r), unicode.SimpleFold(r)} {
			if other <= unicode.MaxASCII {
				found[r] = string(other)
			}
		}
	}
	return found
}
