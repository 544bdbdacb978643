package pgtest

import (
	"iter"
	"math/rand/v2"
)

// Mutations yields n texts, each one of seeds that was hurt in one to four places: bytes changed, put in, taken out,
// doubled, in the other case, or the end of another seed. They are the same in each run. It is for properties that must
// hold for millions of inputs, more than a fuzz test gets to, which looks for new paths instead.
func Mutations(n int, seeds []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		rnd := rand.New(rand.NewPCG(uint64(n), uint64(len(seeds)))) //nolint:gosec // inputs of tests, the same each time
		for range n {
			text := []byte(seeds[rnd.IntN(len(seeds))])
			for range 1 + rnd.IntN(4) {
				text = hurt(rnd, text, seeds)
			}
			if !yield(string(text)) {
				return
			}
		}
	}
}

// marks are bytes that mean something to a parser of hosts, tokens or JSON.
const marks = "\x00\t\n .,:;-_@/\\?#%[]{}\"'=+*~\x7f\x80\xff"

func hurt(rnd *rand.Rand, text []byte, seeds []string) []byte {
	at := rnd.IntN(len(text) + 1)
	end := at + rnd.IntN(len(text)-at+1)
	switch other := seeds[rnd.IntN(len(seeds))]; rnd.IntN(7) {
	case 0:
		return append(text[:at:at], other[rnd.IntN(len(other)+1):]...)
	case 1:
		return append(text[:at:at], text[end:]...)
	case 2:
		return append(text[:end:end], text[at:]...)
	case 3:
		return append(append(text[:at:at], marks[rnd.IntN(len(marks))]), text[at:]...)
	case 4:
		return append(append(text[:at:at], byte(rnd.Uint32())), text[at:]...) //nolint:gosec // any byte
	case 5:
		if at < len(text) {
			text[at] ^= 1 << rnd.IntN(8)
		}
	case 6:
		if at < len(text) {
			text[at] ^= ' ' // the other case, of a letter
		}
	}
	return text
}
