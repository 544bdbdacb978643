package provision_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/provision"
)

func TestNewReportsEveryViolation(t *testing.T) {
	t.Parallel()
	step := provision.SideEffect{Name: "a", Do: func(context.Context, provision.SideEffectInput) (string,
		error,
	) {
		return "", nil
	}}
	_, err := provision.New(provision.Config{
		Prefix: "Tenant-", SharedRole: "public", ClaimTTL: -time.Second, Attempts: -1, Interval: -1,
		SideEffects: []provision.SideEffect{step, step, {Name: "b"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		"provision: Config.Registry: required",
		"provision: Config.Admin: required",
		"provision: Config.Schema: required",
		`provision: Config.Prefix: must be a lower-case letter and up to 20 letters, digits or "_", and not begin with "pg_"`,
		`provision: Config.SharedRole: must be a role's name of at most 63 bytes, not Admin's, and not begin with Prefix or "pg_"`,
		"provision: Config.ClaimTTL: must not be negative",
		"provision: Config.Attempts: must not be negative",
		"provision: Config.Interval: must not be negative",
		`provision: Config.SideEffects[1]: name "a" is taken`,
		"provision: Config.SideEffects[2]: needs a Name and a Do",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}
