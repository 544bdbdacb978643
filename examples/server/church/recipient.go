package church

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Recipient is one person a message was sent to. It stays when the member leaves.
type Recipient struct {
	Base
	MemberID *string `json:"memberId"`
	Address  string  `json:"address"`
	Status   string  `json:"status"`
}

// Recipients returns up to limit recipients of a message, after a place in their list.
func (m Messages) Recipients(ctx context.Context, db *pgxpool.Pool, id string, after Cursor,
	limit int,
) ([]Recipient, error) {
	if _, err := m.Get(ctx, db, id); err != nil {
		return nil, err
	}
	at, last := after.key()
	return all[Recipient](ctx, db, `SELECT id, member_id, address, status, created_at, updated_at
		FROM message_recipients WHERE message_id = $1 AND (created_at, id) < ($2, $3)
		ORDER BY created_at DESC, id DESC LIMIT $4`, id, at, last, limit)
}
