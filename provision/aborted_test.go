package provision_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

// TestAbortedSignUpIsMadeByItsRepetition guards a person who sends a form again after the first answer was lost: under
// the same key the answer was a failure for a day, and without a key that the e-mail had an account.
func TestAbortedSignUpIsMadeByItsRepetition(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t, func(c *provision.Config) { c.Interval = 100 * time.Millisecond })
	run(t, p)
	for _, key := range []string{"", "key"} {
		for i, point := range []string{
			"after intent", "after database", "after seed", "before activate", "after fail",
			"undone",
		} {
			t.Run(fmt.Sprintf("%s %q", point, key), func(t *testing.T) {
				req := request(t, "", fmt.Sprintf("%saborted%d@example.org", key, i))
				if key != "" {
					req.IdempotencyKey, req.RequestHash = key+point, []byte("hash")
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				points := failpoint.New()
				switch point {
				case "after fail", "undone":
					points.On("after intent", failpoint.Cancel(cancel))
				default:
					points.On(point, failpoint.Cancel(cancel))
				}
				answer := make(chan error, 1)
				go func() {
					_, err := f.provisioner(t, func(c *provision.Config) { c.SetFailpoints(points) }).Create(ctx, req)
					answer <- err
				}()
				if point == "after fail" || point == "undone" {
					if err := <-answer; !errors.Is(err, context.Canceled) {
						t.Errorf("the first: %v", err)
					}
				} else {
					<-ctx.Done() // and the first one may not have noticed yet
				}
				if point == "undone" {
					f.settle(t)
				}
				result, err := p.Create(t.Context(), req)
				if err != nil || result.Replayed {
					t.Fatalf("the repetition: %+v, %v", result, err)
				}
				if req.IdempotencyKey == "" {
					return
				}
				again, err := p.Create(t.Context(), req)
				if err != nil || again.Tenant.ID != result.Tenant.ID || !again.Replayed {
					t.Errorf("once more: %v, %v", again, err)
				}
			})
		}
	}
	f.settle(t)
}

// TestEmailOfASignUpThatIsBeingUndoneIsBusyAndNotTaken: there is no account.
func TestEmailOfASignUpThatIsBeingUndoneIsBusyAndNotTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	points := failpoint.New()
	points.On("after database", failpoint.Cancel(cancel))
	req := request(t, "", "busy@example.org")
	p := f.provisioner(t, func(c *provision.Config) { c.SetFailpoints(points) }) // nobody runs it
	if _, err := p.Create(ctx, req); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for _, key := range []string{"", "another"} {
		req.IdempotencyKey, req.RequestHash = key, []byte(key)
		_, err := f.provisioner(t).Create(t.Context(), req)
		if !errors.Is(err, registry.ErrEmailBusy) || middleware.StatusCode(err) != 503 {
			t.Errorf("while it is being undone: %v, status %d", err, middleware.StatusCode(err))
		}
	}
	f.reconcile(t, p, "")
	if _, err := p.Create(t.Context(), req); err != nil {
		t.Errorf("after it was undone: %v", err)
	}
	req.IdempotencyKey = ""
	if _, err := p.Create(t.Context(), req); !errors.Is(err, registry.ErrEmailTaken) ||
		errors.Is(err, registry.ErrEmailBusy) {
		t.Errorf("while there is an account: %v", err)
	}
}
