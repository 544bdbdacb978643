package church

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Conversation is an exchange with one member.
type Conversation struct {
	Base
	MemberID     string `json:"memberId"`
	Subject      string `json:"subject"`
	Status       string `json:"status"`
	MessageCount int64  `json:"messageCount"`
}

// ConversationInput is what can be said of a conversation.
type ConversationInput struct {
	MemberID string `json:"memberId"`
	Subject  string `json:"subject"`
	Status   string `json:"status"` // open (default), closed
}

func (in *ConversationInput) check() error {
	c := check{}
	c.text("memberId", &in.MemberID, 1, 64)
	c.text("subject", &in.Subject, 1, 200)
	c.choice("status", &in.Status, "open", "closed")
	return c.err()
}

// Conversations keeps the exchanges with members.
type Conversations struct{ rows[Conversation] }

// NewConversations returns the service.
func NewConversations() Conversations {
	return Conversations{rows[Conversation]{"conversations", `id, member_id, subject, status, created_at, updated_at,
		(SELECT count(*) FROM conversation_messages m WHERE m.conversation_id = conversations.id) AS message_count`}}
}

// Create begins a conversation. It returns an *InputError for a bad input.
func (c Conversations) Create(ctx context.Context, db *pgxpool.Pool, in ConversationInput) (Conversation, error) {
	if err := in.check(); err != nil {
		return Conversation{}, err
	}
	return one[Conversation](ctx, db, `INSERT INTO conversations (member_id, subject, status) VALUES ($1, $2, $3)
		RETURNING `+c.columns, in.MemberID, in.Subject, in.Status)
}

// Update replaces a conversation. It returns ErrNotFound, or an *InputError for a bad input.
func (c Conversations) Update(ctx context.Context, db *pgxpool.Pool, id string,
	in ConversationInput,
) (Conversation, error) {
	if err := in.check(); err != nil {
		return Conversation{}, err
	}
	return one[Conversation](ctx, db, `UPDATE conversations SET member_id = $2, subject = $3, status = $4,
		updated_at = now() WHERE id = $1 RETURNING `+c.columns, id, in.MemberID, in.Subject, in.Status)
}

// Say adds a message to a conversation; author is the admin who wrote it, if it goes out. It returns ErrNotFound, or an
// *InputError for a bad input.
func (c Conversations) Say(ctx context.Context, db *pgxpool.Pool, id, author string, in SayingInput) (Saying, error) {
	if err := in.check(); err != nil {
		return Saying{}, err
	}
	if !validID(id) {
		return Saying{}, ErrNotFound
	}
	var by *string
	if in.Direction == "outbound" {
		by = &author
	}
	var said Saying
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) (err error) {
		said, err = one[Saying](ctx, tx, `INSERT INTO conversation_messages
			(conversation_id, author_id, direction, body) VALUES ($1, $2, $3, $4)
			RETURNING `+sayingColumns, id, by, in.Direction, in.Body)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE conversations SET updated_at = now() WHERE id = $1`, id)
		return explain(err)
	})
	return said, err
}
