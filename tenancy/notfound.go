package tenancy

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// notFound is a bounded cache of the IDs that the directory does not know. It is apart from the pools, so that a flood
// of unknown IDs evicts no tenant. The resolver's mutex guards it. A nil notFound caches nothing.
type notFound struct {
	ttl   time.Duration
	until *simplelru.LRU[ID, time.Duration]
}

func newNotFound(size int, ttl time.Duration) *notFound {
	if ttl < 0 {
		return nil
	}
	until, err := simplelru.NewLRU[ID, time.Duration](size, nil)
	if err != nil {
		panic(err) // size is positive: Config was validated
	}
	return &notFound{ttl: ttl, until: until}
}

func (n *notFound) add(id ID, now time.Duration) {
	if n != nil {
		n.until.Add(id, now+n.ttl)
	}
}

func (n *notFound) has(id ID, now time.Duration) bool {
	if n == nil {
		return false
	}
	until, ok := n.until.Get(id)
	if ok && now >= until {
		n.until.Remove(id)
		return false
	}
	return ok
}

func (n *notFound) forget(id ID) {
	if n != nil {
		n.until.Remove(id)
	}
}
