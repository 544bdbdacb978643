package provision_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

// TestSameKeyHasOneAnswer repeats sign-ups under their keys: some of them were killed before, and some failed.
func TestSameKeyHasOneAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.rescuer(t)
	run(t, p)
	fails := f.rescuer(t, func(c *provision.Config) {
		c.Seed = func(context.Context, pgx.Tx, provision.Seed) error { return errBroken }
	})
	signUps, again := pgtest.Size(4, 500), pgtest.Size(3, 8)
	slot, asked := make(chan struct{}, 4), 0
	var wg sync.WaitGroup
	for i := range signUps {
		slot <- struct{}{}
		asked += again
		wg.Go(func() {
			defer func() { <-slot }()
			id := fmt.Sprintf("s%d", i)
			req := request(t, "", "x"+id+"@example.org")
			req.IdempotencyKey, req.RequestHash = id, []byte("hash")
			switch i % 4 {
			case 0, 1: // killed
				point := signUpPoints[(i*5+3)%len(signUpPoints)]
				cmd, _ := f.command(t, child{ID: id, Key: id, Point: point})
				_ = cmd.Run()
				f.repeat(t, p, req, again, nil)
			case 2: // failed
				if _, err := fails.Create(t.Context(), req); !errors.Is(err, errBroken) {
					t.Errorf("%s: %v", id, err)
				}
				f.repeat(t, p, req, again, provision.ErrFailedBefore)
			case 3:
				f.repeat(t, p, req, again, nil)
			}
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	f.settle(t)
	c := f.takeCensus(t)
	c.check(t, answers{})
	if want := signUps - signUps/4; len(c.active) != want {
		t.Errorf("%d tenants, want %d", len(c.active), want)
	}
	defer pgtest.Figure(t, "P7", "%d keys, half of them of killed and a quarter of failed sign-ups, asked %d times: "+
		"one answer each, %d tenants", signUps, asked, len(c.active))
}

// repeat asks some times at once and once more, and wants one answer; and to be refused what is asked for with another
// body.
func (f *fixture) repeat(t *testing.T, p *provision.Provisioner, req provision.Request, times int, want error) {
	results, errs := make([]*provision.Result, times), make([]error, times)
	var wg sync.WaitGroup
	for i := range times - 1 {
		wg.Go(func() { results[i], errs[i] = p.Create(t.Context(), req) })
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	results[times-1], errs[times-1] = p.Create(t.Context(), req)
	for i, err := range errs {
		switch {
		case !errors.Is(err, want):
			t.Errorf("%s: %v, want %v", req.IdempotencyKey, err, want)
		case want != nil || results[0] == nil:
		case results[i].Tenant.ID != results[0].Tenant.ID || results[i].Admin.ID != results[0].Admin.ID:
			t.Errorf("%s: two answers: %s and %s", req.IdempotencyKey, results[i].Tenant.ID, results[0].Tenant.ID)
		}
	}
	req.RequestHash = []byte("of another body")
	if _, err := p.Create(t.Context(), req); !errors.Is(err, registry.ErrKeyReused) {
		t.Errorf("%s with another body: %v", req.IdempotencyKey, err)
	}
}
