package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// Each client goes on to another church after a few requests, so that pools are opened and evicted all the time, and
// with as many clients as pools there is no pool to spare: a client waits for one to drain.
const (
	spreadTenants = 50
	spreadPools   = 8
	spreadClients = spreadPools
	spreadBurst   = 10
)

func TestEveryAnswerIsFromTheRightDatabase(t *testing.T) {
	requests := pgtest.Size[int64](5_000, 20_000)
	r := start(t, setup{prefix: "spread_", maxPools: spreadPools})
	churches := make([]session, spreadTenants)
	for i := range churches {
		churches[i] = r.register(t, fmt.Sprintf("spread%d", i))
		do[none](t, r.as(churches[i].AccessToken), "POST", "/api/members",
			map[string]string{"firstName": "Member", "lastName": churches[i].Church.ID}, http.StatusCreated)
	}
	var left, wrong atomic.Int64
	left.Store(requests)
	var clients sync.WaitGroup
	for n := range spreadClients {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 0))
			for left.Load() > 0 {
				church := churches[random.IntN(len(churches))]
				for range spreadBurst {
					if left.Add(-1) < 0 {
						return
					}
					if err := r.ask(t.Context(), church, random.IntN(2) == 0); err != nil && wrong.Add(1) <= 10 {
						t.Error(err)
					}
				}
			}
		})
	}
	pgtest.Wait(t, "every client ends", clients.Wait)
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d of %d requests failed or were answered from another database", n, requests)
	}
}

// ask sends one request for a church, and looks at whose data the answer has.
func (r *running) ask(ctx context.Context, church session, forMembers bool) error {
	path := "/api/tenant"
	if forMembers {
		path = "/api/members"
	}
	status, raw, err := r.as(church.AccessToken).send(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", path, status, raw)
	}
	var answer struct {
		CurrentDatabase string
		Items           []struct{ LastName string }
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return err
	}
	if forMembers && (len(answer.Items) != 1 || answer.Items[0].LastName != church.Church.ID) {
		return fmt.Errorf("members of another church than %s: %s", church.Church.ID, raw)
	}
	if !forMembers && answer.CurrentDatabase != r.prefix+church.Church.ID {
		return fmt.Errorf("database of another church than %s: %s", church.Church.ID, raw)
	}
	return nil
}
