package church_test

import (
	"errors"
	"testing"

	"github.com/pgtenancy/pgtenancy/examples/server/church"
)

func TestMessageIsSentToWhomItIsMeantFor(t *testing.T) {
	t.Parallel()
	db, ctx := newChurch(t), t.Context()
	north := must[church.Branch](t)(church.NewBranches().Create(ctx, db, church.BranchInput{Name: "North"}))
	for _, in := range []church.MemberInput{
		{FirstName: "In", LastName: "North", Email: ptr("a@example.org"), BranchID: &north.ID},
		{FirstName: "By", LastName: "Phone", Phone: ptr("+1 555 0100"), BranchID: &north.ID},
		{FirstName: "Gone", LastName: "North", Email: ptr("b@example.org"), BranchID: &north.ID, Status: "inactive"},
		{FirstName: "Out", LastName: "Side", Email: ptr("c@example.org")},
	} {
		must[church.Member](t)(church.NewMembers().Create(ctx, db, in))
	}
	for _, test := range []struct {
		channel string
		branch  *string
		want    int64
	}{{"email", nil, 2}, {"email", &north.ID, 1}, {"sms", nil, 1}} {
		m := must[church.Message](t)(church.NewMessages().Create(ctx, db, church.MessageInput{
			Subject: "Fair", Body: "On Sunday", Channel: test.channel, BranchID: test.branch, Send: true,
		}))
		if m.RecipientCount != test.want || m.Status != "sent" || m.SentAt == nil {
			t.Errorf("%+v: %+v", test, m)
		}
		got := must[[]church.Recipient](t)(church.NewMessages().Recipients(ctx, db, m.ID, church.Cursor{}, 10))
		if int64(len(got)) != test.want || got[0].Status != "queued" {
			t.Errorf("%+v: recipients %+v", test, got)
		}
	}
	if _, err := church.NewMessages().Recipients(ctx, db, "none", church.Cursor{},
		10); !errors.Is(err, church.ErrNotFound) {
		t.Errorf("recipients of no message: %v", err)
	}
}

func TestSentMessageDoesNotChange(t *testing.T) {
	t.Parallel()
	db, ctx := newChurch(t), t.Context()
	messages, in := church.NewMessages(), church.MessageInput{Subject: "Fair", Body: "On Sunday"}
	draft := must[church.Message](t)(messages.Create(ctx, db, in))
	in.Send = true
	sent := must[church.Message](t)(messages.Update(ctx, db, draft.ID, in))
	if sent.Status != "sent" {
		t.Errorf("status %q", sent.Status)
	}
	if _, err := messages.Update(ctx, db, draft.ID, in); !errors.Is(err, church.ErrSent) {
		t.Errorf("second sending: %v", err)
	}
}

func TestMessageToAnUnknownBranchLeavesNothing(t *testing.T) {
	t.Parallel()
	db := newChurch(t)
	_, err := church.NewMessages().Create(t.Context(), db, church.MessageInput{
		Subject: "Fair", Body: "On Sunday", BranchID: ptr("nowhere"), Send: true,
	})
	if fieldsOf(err)["branchId"] == "" {
		t.Errorf("error %v", err)
	}
	if n := count(t, db, "SELECT count(*) FROM messages"); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestConversationKeepsItsMessagesInOrder(t *testing.T) {
	t.Parallel()
	db, ctx := newChurch(t), t.Context()
	_, err := db.Exec(ctx, `INSERT INTO admins (id, email, first_name, last_name, role, password_hash)
		VALUES ('admin1', 'a@example.org', 'A', 'B', 'PRIMARY', '-')`)
	if err != nil {
		t.Fatal(err)
	}
	m := must[church.Member](t)(church.NewMembers().Create(ctx, db, church.MemberInput{FirstName: "A", LastName: "B"}))
	conversations := church.NewConversations()
	c := must[church.Conversation](t)(conversations.Create(ctx, db,
		church.ConversationInput{MemberID: m.ID, Subject: "Hi"}))
	in := must[church.Saying](t)(conversations.Say(ctx, db, c.ID, "admin1",
		church.SayingInput{Direction: "inbound", Body: "Hello?"}))
	out := must[church.Saying](t)(conversations.Say(ctx, db, c.ID, "admin1", church.SayingInput{Body: "Yes?"}))
	if in.AuthorID != nil || out.AuthorID == nil || *out.AuthorID != "admin1" {
		t.Errorf("authors %v, %v", in.AuthorID, out.AuthorID)
	}
	said := must[[]church.Saying](t)(conversations.Sayings(ctx, db, c.ID, church.Cursor{}, 10))
	if len(said) != 2 || said[0].ID != out.ID || said[1].ID != in.ID {
		t.Errorf("sayings %+v", said)
	}
	if _, err := conversations.Say(ctx, db, "none", "admin1",
		church.SayingInput{Body: "?"}); !errors.Is(err, church.ErrNotFound) {
		t.Errorf("say in no conversation: %v", err)
	}
}
