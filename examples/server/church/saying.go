package church

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

const sayingColumns = "id, author_id, direction, body, created_at, created_at AS updated_at"

// Saying is one message of a conversation.
type Saying struct {
	Base
	AuthorID  *string `json:"authorId"`
	Direction string  `json:"direction"`
	Body      string  `json:"body"`
}

// SayingInput is what can be said of a conversation's message.
type SayingInput struct {
	Direction string `json:"direction"` // outbound (default), inbound
	Body      string `json:"body"`
}

func (in *SayingInput) check() error {
	c := check{}
	c.choice("direction", &in.Direction, "outbound", "inbound")
	c.text("body", &in.Body, 1, 10000)
	return c.err()
}

// Sayings returns up to limit messages of a conversation, after a place in their list.
func (c Conversations) Sayings(ctx context.Context, db *pgxpool.Pool, id string, after Cursor,
	limit int,
) ([]Saying, error) {
	if _, err := c.Get(ctx, db, id); err != nil {
		return nil, err
	}
	at, last := after.key()
	return all[Saying](ctx, db, `SELECT `+sayingColumns+` FROM conversation_messages
		WHERE conversation_id = $1 AND (created_at, id) < ($2, $3)
		ORDER BY created_at DESC, id DESC LIMIT $4`, id, at, last, limit)
}
