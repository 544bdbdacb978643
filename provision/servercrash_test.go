package provision_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
)

// serverCrash is one crash of the server: where, and how.
type serverCrash struct {
	point string
	way   string // "killed", a backend of the sign-up; "immediate", a shutdown
	later bool   // not at the point, but a random moment after it
}

// TestCrashOfTheServerLeavesWholeTenantsOrNothing crashes the server of the registry and of the tenants at points of a
// sign-up, of its failure and of a deletion, and soon after them, while another process reconciles. In the short form,
// it does so three times.
func TestCrashOfTheServerLeavesWholeTenantsOrNothing(t *testing.T) {
	cluster := newCluster(t, pgtest.Full())
	f := cluster.fixture(t)
	run(t, f.rescuer(t, func(c *provision.Config) { c.ClaimTTL, c.Interval = crashTTL, crashTTL/3 }))
	v := f.victim(t)
	ways := map[string]failpoint.Action{
		"killed":    func(ctx context.Context) error { return cluster.kill(ctx, v.wires) },
		"immediate": cluster.crash,
	}
	said, crashes := answers{}, serverCrashes()
	for i, crash := range crashes {
		var wg sync.WaitGroup
		act := ways[crash.way]
		if crash.later {
			act = func(ctx context.Context) error {
				wg.Go(func() {
					err := failpoint.Sleep(rand.N(200 * time.Millisecond))(t.Context())
					if err == nil {
						err = ways[crash.way](ctx)
					}
					if err != nil {
						t.Error(err)
					}
				})
				return nil
			}
		}
		f.hurt(t, v, said, fmt.Sprintf("c%d", i), crash.point, crash.way, act)
		pgtest.Wait(t, "every goroutine ends", wg.Wait)
		v.pool.Reset()
		f.pool.Reset()
	}
	f.settle(t)
	c := f.takeCensus(t)
	lost := c.check(t, said)
	pgtest.Figure(t, "P3", "%d crashes of the server: %d answered, %d lost, %d whole, %d flaws; PostgreSQL left %s "+
		"directories of databases that are not there",
		len(crashes), len(said["made"]), lost, len(c.active), len(c.flaws), cluster.orphans(t, f))
}

// serverCrashes are all there are, twice, or three.
func serverCrashes() []serverCrash {
	if !pgtest.Full() {
		return []serverCrash{
			{"before database", "killed", true}, {"after activate", "killed", false}, {"before drop database", "killed", false},
		}
	}
	var all []serverCrash
	for range 2 {
		for _, point := range slices.Concat(signUpPoints, failPoints, dropPoints) {
			all = append(all, serverCrash{point, "killed", false}, serverCrash{point, "immediate", false},
				serverCrash{point, "killed", true})
		}
	}
	return all
}
