package connbudget

import "slices"

// sieve keeps the accounts of a budget in the order in which they came, and a hand that goes round from the old to the
// new in search of a connection to close (Zhang et al., SIEVE is Simpler than LRU, NSDI 2024). An account that was
// used again since the hand passed is spared once, so that accounts that were opened for one request go first.
// Budget.mu guards it.
type sieve struct {
	members []*Account
	hand    int
}

func (v *sieve) add(a *Account) {
	if a.held == 0 && a.waiting == 0 {
		a.uses.Store(0)
		v.members = append(v.members, a)
	}
}

func (v *sieve) remove(a *Account) {
	i := slices.Index(v.members, a)
	if i < 0 {
		return
	}
	v.members = slices.Delete(v.members, i, i+1)
	if i < v.hand {
		v.hand--
	}
}

// next returns the first account for which ok holds and which need not be spared, or nil.
func (v *sieve) next(ok func(*Account) bool) *Account {
	for range 2 * len(v.members) { // an account that is spared in the first round is not in the second
		if v.hand >= len(v.members) {
			v.hand = 0
		}
		a := v.members[v.hand]
		v.hand++
		if !ok(a) {
			continue
		}
		if a.uses.Load() < 2 {
			return a
		}
		a.uses.Store(1)
	}
	return nil
}
