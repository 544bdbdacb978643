package registry_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// renewer is a recorder that counts renewals too.
type renewer struct {
	*recorder
	mu      sync.Mutex // guards renewed
	renewed map[tenancy.ID]int
}

func (r *renewer) Renew(id tenancy.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renewed[id]++
}

func (r *renewer) renewals(id tenancy.ID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.renewed[id]
}

func TestChangeOfASchemaIsToldAsARenewal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id, other := f.active(t, "acme"), f.active(t, "other")
	full := &renewer{recorder: newRecorder(), renewed: map[tenancy.ID]int{}}
	f.tell(t, full)
	plain, _ := f.follow(t)
	full.wait(t, other, 2)
	plain.wait(t, other, 2)
	must(t, f.SetSchemaHash(t.Context(), id, "hash", "newer"))
	eventually(t, "told of the stamp", func() bool { return full.renewals(id) == 1 })
	must(t, f.RenewConnections(t.Context(), id))
	eventually(t, "told again", func() bool { return full.renewals(id) == 2 })
	plain.wait(t, id, 0) // a follower that knows no renewal takes it for a change
	if full.has(id, 0) || full.renewals(other) != 0 {
		t.Error("a renewal was told as a change, or of another tenant")
	}
}

// A follower reports renewals that were purged before it read them with the changes.
func TestRenewalThatWasPurgedIsToldOfEveryTenant(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(_ *pgxpool.Config, cfg *registry.Config) { cfg.PollInterval = 10 * time.Millisecond })
	id := f.active(t, "acme")
	full := &renewer{recorder: newRecorder(), renewed: map[tenancy.ID]int{}}
	f.tell(t, full)
	full.wait(t, id, 2)
	tx, err := f.pool.Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), `UPDATE pgtenancy.feed SET version = version + 5`)
	must(t, err)
	_, err = tx.Exec(t.Context(), `DELETE FROM pgtenancy.changes`)
	must(t, err)
	must(t, tx.Commit(t.Context()))
	eventually(t, "told", func() bool { return full.renewals(id) == 1 })
}
