package registry_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// A thief with the registry's dump and a list of everybody's addresses learns no admin's, as long as the key is not
// in it. A plain hash gives all of them away, and so does the key: the attack works.
func TestDictionaryFindsNobodyInTheDump(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	people := pgtest.Size(20, 200)
	real := make(map[string]bool, people)
	plain := make(map[[32]byte]bool, people) // what a registry of plain hashes would have stored
	for i := range people {
		name := "person" + strconv.Itoa(i)
		f.reserve(t, name)
		real[name+"@example.com"] = true
		plain[sha256.Sum256([]byte(name+"@example.com"))] = true
	}
	dumped := make(map[[32]byte]bool)
	for _, value := range regexp.MustCompile(`\\x([0-9a-f]{64})'`).FindAllSubmatch(f.dump(t), -1) {
		var sum [32]byte
		_, err := hex.Decode(sum[:], value[1])
		must(t, err)
		dumped[sum] = true
	}

	const separation = "v1|admin_email_index|email|" // is in the source, and so known
	guesses, size := 0, pgtest.Size(20_000, 10_000_000)
	var found, foundPlain, foundByKey int
	var took time.Duration
	guess := func(address string) {
		guesses++
		start := time.Now()
		hash := sha256.Sum256([]byte(address))
		if plain[hash] {
			foundPlain++
		}
		took += time.Since(start)
		empty := mac256(nil, separation+address)
		separated := sha256.Sum256([]byte(separation + address))
		if dumped[hash] || dumped[separated] || dumped[empty] || dumped[mac256([]byte(separation), address)] {
			found++
		}
	}
	for i := range size - people {
		guess("guess" + strconv.Itoa(i) + "@example.com")
	}
	for address := range real {
		guess(address)
		if dumped[mac256(key(1).Secret, separation+address)] {
			foundByKey++
		}
	}
	if found != 0 || foundPlain != people || foundByKey != people {
		t.Errorf("found: %d without the key, want none; %d in plain hashes and %d with the key, want all %d", found,
			foundPlain, foundByKey, people)
	}
	pgtest.Figure(t, "S8", "%d guesses at %d people: %d found without the key, %d with it; plain SHA-256 gives away %d "+
		"in %v",
		guesses, people, found, foundByKey, foundPlain, took.Round(time.Millisecond))
}

func mac256(key []byte, message string) (sum [32]byte) {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	h.Sum(sum[:0])
	return sum
}
