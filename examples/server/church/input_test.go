package church_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/examples/server/church"
)

func containsAll(s string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
}

func TestEveryWrongFieldIsNamed(t *testing.T) {
	t.Parallel()
	db, ctx := newChurch(t), t.Context()
	_, err := church.NewMembers().Create(ctx, db, church.MemberInput{
		FirstName: " ", LastName: strings.Repeat("é", 81), Email: ptr("nobody"), Phone: ptr("call me"),
		Status: "saint", BranchID: ptr(strings.Repeat("x", 65)),
	})
	want := []string{"branchId", "email", "firstName", "lastName", "phone", "status"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(fieldsOf(err)))); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(err.Error(), "nobody") {
		t.Errorf("the error quotes the input: %v", err)
	}
	_, err = church.NewSubscriptions().Create(ctx, db,
		church.SubscriptionInput{Plan: "gold", Seats: -1, CurrentPeriodEnd: "soon"})
	if diff := cmp.Diff([]string{"currentPeriodEnd", "plan", "seats"},
		slices.Sorted(maps.Keys(fieldsOf(err)))); diff != "" {
		t.Error(diff)
	}
}

// The database must never refuse what the checks let through with anything but a field's name, and the checks must let
// through what the database takes.
func TestChecksAgreeWithTheDatabase(t *testing.T) {
	t.Parallel()
	db, ctx := newChurch(t), t.Context()
	long := strings.Repeat("é", 80)
	for _, in := range []church.MemberInput{
		{FirstName: long, LastName: long, Email: ptr("a@b.c"), Phone: ptr("+12345")},
		{FirstName: "a\u2028b", LastName: "'); --", Phone: ptr("(0) 1 23"), Email: ptr("ü@ü.ü")},
		{FirstName: "A", LastName: "B", Email: ptr(""), Phone: ptr(" ")},
		{FirstName: "A\x00", LastName: "B"},
		{FirstName: "A", LastName: "B", Email: ptr("a b@c.d")},
		{FirstName: "A", LastName: "B", Email: ptr("a\u00a0b@c.d")},
	} {
		if _, err := church.NewMembers().Create(ctx, db, in); err != nil && fieldsOf(err) == nil {
			t.Errorf("%q %q: %v", in.FirstName, in.LastName, err)
		}
	}
}

func TestWhatMustBeUniqueIsNamed(t *testing.T) {
	t.Parallel()
	db, ctx := newChurch(t), t.Context()
	in := church.MemberInput{FirstName: "A", LastName: "B", Email: ptr("a@example.org")}
	must[church.Member](t)(church.NewMembers().Create(ctx, db, in))
	in.Email = ptr("A@EXAMPLE.org")
	if _, err := church.NewMembers().Create(ctx, db, in); fieldsOf(err)["email"] == "" {
		t.Errorf("second member with one e-mail: %v", err)
	}
	sub := church.SubscriptionInput{CurrentPeriodEnd: "2027-01-01T00:00:00Z"}
	must[church.Subscription](t)(church.NewSubscriptions().Create(ctx, db, sub))
	if _, err := church.NewSubscriptions().Create(ctx, db, sub); fieldsOf(err)["status"] == "" {
		t.Errorf("second subscription: %v", err)
	}
	template := must[church.Template](t)(church.NewTemplates().Create(ctx, db, church.TemplateInput{Name: "T", Body: "B"}))
	must[church.Recurring](t)(church.NewRecurringMessages().Create(ctx, db,
		church.RecurringInput{Name: "R", TemplateID: template.ID, NextRunAt: "2027-01-01T00:00:00Z"}))
	if err := church.NewTemplates().Delete(ctx, db, template.ID); err != church.ErrInUse {
		t.Errorf("delete of a template in use: %v", err)
	}
}
