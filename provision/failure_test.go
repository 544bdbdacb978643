package provision_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

var errBroken = errors.New("broken on purpose")

// world is what the caller's steps have done outside.
type world struct{ done, undone map[string]int }

func (w *world) steps(hurt func(ctx context.Context, step string) error) []provision.SideEffect {
	step := func(name string) provision.SideEffect {
		return provision.SideEffect{
			Name: name,
			Do: func(ctx context.Context, s provision.SideEffectInput) (string, error) {
				w.done[s.Key]++
				return "result of " + name, hurt(ctx, "step:"+name)
			},
			Undo: func(_ context.Context, s provision.SideEffectInput) error {
				w.undone[s.Key]++
				return nil
			},
		}
	}
	return []provision.SideEffect{step("billing"), step("dns")}
}

func newWorld() *world { return &world{done: map[string]int{}, undone: map[string]int{}} }

func TestPanicBecomesAnErrorWithoutItsValue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.provisioner(t, func(c *provision.Config) {
		c.Seed = func(context.Context, pgx.Tx, provision.Seed) error { panic("secret") }
	})
	_, err := p.Create(t.Context(), request(t, "acme", "ann@example.org"))
	var panicked *provision.PanicError
	if !errors.As(err, &panicked) || panicked.Value != "secret" || len(panicked.Stack) == 0 {
		t.Fatalf("%#v", err)
	}
	if want := `provision: create tenant "acme": seed: panic`; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestStepsAreUndoneInReverseOrderAndRetried(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var undone []string
	refuse := true
	step := func(name string, err error) provision.SideEffect {
		return provision.SideEffect{
			Name: name,
			Do:   func(context.Context, provision.SideEffectInput) (string, error) { return "r:" + name, err },
			Undo: func(_ context.Context, s provision.SideEffectInput) error {
				if refuse && name == "one" {
					return errBroken
				}
				undone = append(undone, s.Key+"="+s.Result)
				return nil
			},
		}
	}
	p := f.provisioner(t, func(c *provision.Config) {
		c.SideEffects = []provision.SideEffect{step("one", nil), step("two", nil), step("three", errBroken)}
	})
	if _, err := p.Create(t.Context(), request(t, "acme", "ann@example.org")); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if !errors.Is(pass.Retried["acme"], errBroken) {
		t.Errorf("retried: %v", pass.Retried)
	}
	if got := f.residue(t); got != "email:acme tenant:acme:failing" {
		t.Errorf("the e-mail must stay taken: %s", got)
	}
	refuse = false
	f.reconcile(t, p, "")
	want := []string{"acme/three=", "acme/two=r:two", "acme/one=r:one"}
	if len(undone) != 3 || undone[0] != want[0] || undone[1] != want[1] || undone[2] != want[2] {
		t.Errorf("undone %q, want %q", undone, want)
	}
}
