package church_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/examples/server/church"
)

// noun is what all services have in common.
type noun[T, In any] interface {
	Create(ctx context.Context, db *pgxpool.Pool, in In) (T, error)
	Get(ctx context.Context, db *pgxpool.Pool, id string) (T, error)
	List(ctx context.Context, db *pgxpool.Pool, after church.Cursor, limit int) ([]T, error)
	Update(ctx context.Context, db *pgxpool.Pool, id string, in In) (T, error)
	Delete(ctx context.Context, db *pgxpool.Pool, id string) error
}

// lifeOf walks one record from its making to its end. Both inputs must be good, the zero input must not.
func lifeOf[T comparable, In any](t *testing.T, db *pgxpool.Pool, s noun[T, In], id func(T) string, first, second In) {
	t.Helper()
	ctx := t.Context()
	made := must[T](t)(s.Create(ctx, db, first))
	if found := must[T](t)(s.Get(ctx, db, id(made))); id(found) != id(made) {
		t.Errorf("got %v, want %v", found, made)
	}
	changed := must[T](t)(s.Update(ctx, db, id(made), second))
	if changed == made || id(changed) != id(made) {
		t.Errorf("update of %v gave %v", made, changed)
	}
	if list := must[[]T](t)(s.List(ctx, db, church.Cursor{}, 10)); len(list) != 1 || id(list[0]) != id(made) {
		t.Errorf("list = %v", list)
	}
	var none In
	if _, err := s.Create(ctx, db, none); fieldsOf(err) == nil {
		t.Errorf("create from nothing: %v", err)
	}
	if _, err := s.Update(ctx, db, id(made), none); fieldsOf(err) == nil {
		t.Errorf("update to nothing: %v", err)
	}
	if err := s.Delete(ctx, db, id(made)); err != nil {
		t.Error(err)
	}
	for _, absent := range []string{id(made), "", "no\x00uuid", "\xff", "'; DROP TABLE members; --"} {
		if _, err := s.Get(ctx, db, absent); !errors.Is(err, church.ErrNotFound) {
			t.Errorf("get %q: %v", absent, err)
		}
		if err := s.Delete(ctx, db, absent); !errors.Is(err, church.ErrNotFound) {
			t.Errorf("delete %q: %v", absent, err)
		}
	}
	if _, err := s.Update(ctx, db, id(made), second); !errors.Is(err, church.ErrNotFound) {
		t.Errorf("update of a deleted record: %v", err)
	}
}

func TestEveryNounLivesAndEnds(t *testing.T) {
	t.Parallel()
	db := newChurch(t)
	lifeOf(t, db, church.NewMembers(), func(m church.Member) string { return m.ID },
		church.MemberInput{FirstName: "Ada", LastName: "Byron", Email: ptr("ada@example.org")},
		church.MemberInput{FirstName: "Ada", LastName: "Lovelace", Phone: ptr("+44 20 7946 0000"), Status: "visitor"})
	lifeOf(t, db, church.NewBranches(), func(b church.Branch) string { return b.ID },
		church.BranchInput{Name: "North"}, church.BranchInput{Name: "Far North", City: "Oslo"})
	lifeOf(t, db, church.NewTemplates(), func(m church.Template) string { return m.ID },
		church.TemplateInput{Name: "Welcome", Body: "Hello"}, church.TemplateInput{Name: "Bye", Channel: "sms", Body: "Bye"})
	lifeOf(t, db, church.NewMessages(), func(m church.Message) string { return m.ID },
		church.MessageInput{Subject: "Fair", Body: "On Sunday"}, church.MessageInput{Subject: "Fair", Body: "On Monday"})
	lifeOf(t, db, church.NewSubscriptions(), func(s church.Subscription) string { return s.ID },
		church.SubscriptionInput{CurrentPeriodEnd: "2027-01-01T00:00:00Z"},
		church.SubscriptionInput{Plan: "plus", Seats: 5, CurrentPeriodEnd: "2027-02-01T00:00:00Z"})

	member := must[church.Member](t)(church.NewMembers().Create(t.Context(), db,
		church.MemberInput{FirstName: "Ada", LastName: "Byron"}))
	lifeOf(t, db, church.NewConversations(), func(c church.Conversation) string { return c.ID },
		church.ConversationInput{MemberID: member.ID, Subject: "Baptism"},
		church.ConversationInput{MemberID: member.ID, Subject: "Baptism", Status: "closed"})

	template := must[church.Template](t)(church.NewTemplates().Create(t.Context(), db,
		church.TemplateInput{Name: "Weekly", Body: "Hello"}))
	lifeOf(t, db, church.NewRecurringMessages(), func(r church.Recurring) string { return r.ID },
		church.RecurringInput{Name: "News", TemplateID: template.ID, NextRunAt: "2027-01-01T08:00:00Z"},
		church.RecurringInput{Name: "News", TemplateID: template.ID, NextRunAt: "2027-01-08T08:00:00Z", Active: ptr(false)})
}

// fieldsOf returns what err says of the fields; nil if it says nothing.
func fieldsOf(err error) map[string]string {
	if e, ok := errors.AsType[*church.InputError](err); ok {
		return e.Fields
	}
	return nil
}
