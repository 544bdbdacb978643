package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
)

const chaosClients = 8

// fate is the planned end of one sign-up.
type fate struct {
	kind   string        // done, panic, error, lost, cancel, late
	step   string        // where, for panic, cancel and late
	delay  time.Duration // of a late cancellation
	cancel context.CancelFunc
}

// newFates makes half of the sign-ups fail or be cancelled, each in a way and at a step of its own.
func newFates(r *rand.Rand) []*fate {
	steps := []string{"database", "access", "seed", "step:billing", "step:last", "activate"}
	fates := make([]*fate, pgtest.Size(100, 200))
	for i := range fates {
		fates[i] = &fate{kind: "done"}
		if i%2 == 0 {
			fates[i].kind = []string{"panic", "error", "lost", "cancel", "late"}[r.IntN(5)]
			fates[i].step = steps[r.IntN(len(steps))]
			fates[i].delay = time.Duration(r.IntN(80)) * time.Millisecond
		}
	}
	r.Shuffle(len(fates), func(i, j int) { fates[i], fates[j] = fates[j], fates[i] })
	return fates
}

// strike is called by the program when a step of a sign-up begins.
func (f *fate) strike(r *http.Request, step string) {
	if step != f.step {
		return
	}
	switch f.kind {
	case "panic":
		panic("on purpose")
	case "cancel": // the client has gone before the step begins
		f.cancel()
		<-r.Context().Done()
	case "late": // the client goes some time later: while this step runs, or a later one, or when all is done
		time.AfterFunc(f.delay, f.cancel)
	}
}

// lastStep fails for the churches that are meant to, after all else is done.
func lastStep() provision.SideEffect {
	return provision.SideEffect{Name: "last", Do: func(_ context.Context, in provision.SideEffectInput) (string, error) {
		if strings.HasPrefix(in.Organization.Name, "St error") {
			return "", errors.New("on purpose")
		}
		return "ok", nil
	}, Undo: func(context.Context, provision.SideEffectInput) error { return nil }}
}

func TestHalfOfTheSignUpsFailAndNothingIsLeft(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	fates, stripe := newFates(rand.New(rand.NewPCG(seed, 0))), newStripeDouble(t)
	r := start(t, setup{prefix: "chaos_", env: stripe.env(), hooks: hooks{
		steps: []provision.SideEffect{lastStep()},
		progress: func(r *http.Request, step string) {
			if i, err := strconv.Atoi(r.Header.Get("X-Chaos")); err == nil {
				fates[i].strike(r, step)
			}
		},
	}})
	answers := r.signUpAll(t, fates)
	r.settled(t)

	active := column(t, r.registry, "SELECT id FROM pgtenancy.tenants WHERE state = 'active'")
	r.nothingLeft(t, stripe, active)
	fallen := map[string]int{}
	for i, a := range answers {
		kind, answered := fates[i].kind, a.status == http.StatusCreated
		if answered != (kind == "done") && kind != "late" { // a late client may have had the answer
			t.Errorf("sign-up %d (%s at %s): status %d", i, kind, fates[i].step, a.status)
		}
		if !answered {
			fallen[kind]++
			continue
		}
		if !slices.Contains(active, a.session.Church.ID) {
			t.Errorf("sign-up %d (%s) was answered, and its church is gone", i, kind)
		}
		r.where(t, a.session)
	}
	t.Logf("%d sign-ups, %d active; failed or cancelled: %v", len(fates), len(active), fallen)
	r.signUpAgain(t, fates, answers)
}

type chaosAnswer struct {
	status  int
	session session
}

// signUpAll signs all up, by a few clients at once.
func (r *running) signUpAll(t *testing.T, fates []*fate) []chaosAnswer {
	t.Helper()
	answers, turn := make([]chaosAnswer, len(fates)), make(chan int)
	var clients sync.WaitGroup
	for range chaosClients {
		clients.Go(func() {
			for i := range turn {
				ctx, cancel := context.WithCancel(t.Context())
				fates[i].cancel = cancel
				// A busy machine sheds some before they begin.
				busy := time.Now().Add(time.Minute)
				for tries := 0; tries < 5 || fates[i].kind == "done" && time.Now().Before(busy); tries++ {
					answers[i].status, answers[i].session = r.tryRegister(ctx, chaosSignUp(i, fates[i]),
						http.Header{"X-Chaos": {strconv.Itoa(i)}})
					if answers[i].status != http.StatusServiceUnavailable {
						break
					}
				}
				cancel()
			}
		})
	}
	for i := range fates {
		turn <- i
	}
	close(turn)
	pgtest.Wait(t, "every client ends", clients.Wait)
	return answers
}

func chaosSignUp(i int, f *fate) signUp { return newSignUp(fmt.Sprintf("%s-%d", f.kind, i)) }

// nothingLeft compares everything that a sign-up makes with the churches that are active.
func (r *running) nothingLeft(t *testing.T, stripe *stripeDouble, active []string) {
	t.Helper()
	var names []string
	for _, id := range active {
		names = append(names, r.prefix+id)
	}
	slices.Sort(names)
	databases, roles := r.tenants(t)
	if diff := cmp.Diff(names, databases); diff != "" {
		t.Errorf("databases: %s", diff)
	}
	if diff := cmp.Diff(names, roles); diff != "" {
		t.Errorf("roles: %s", diff)
	}
	for table, count := range map[string]int{
		"tenants": 1, "organizations": 1, "admins": 1, "admin_email_index": 1, "steps": 2,
	} {
		if n := one[int](t, r.registry, "SELECT count(*) FROM pgtenancy."+table); n != count*len(active) {
			t.Errorf("%d rows in %s, %d churches", n, table, len(active))
		}
	}
	customers := column(t, r.registry, "SELECT billing_customer FROM pgtenancy.organizations")
	slices.Sort(customers)
	if diff := cmp.Diff(customers, stripe.left()); diff != "" {
		t.Errorf("customers: %s", diff)
	}
	if placed := one[int](t, r.registry, "SELECT tenants FROM pgtenancy.servers"); placed != len(active) {
		t.Errorf("the server is said to have %d tenants", placed)
	}
}

// signUpAgain sees that the e-mails of a few that failed are free.
func (r *running) signUpAgain(t *testing.T, fates []*fate, answers []chaosAnswer) {
	t.Helper()
	tried := 0
	for i, a := range answers {
		if a.status != http.StatusInternalServerError || tried == 5 {
			continue
		}
		tried++
		in := chaosSignUp(i, fates[i])
		in.ChurchName = "St Second"
		if status, _ := r.tryRegister(t.Context(), in, nil); status != http.StatusCreated {
			t.Errorf("sign-up %d again: status %d", i, status)
		}
	}
	if tried < 5 {
		t.Errorf("only %d failed", tried)
	}
}
