package church

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Message is a text to the whole church or to one branch: a draft, or sent.
type Message struct {
	Base
	Subject        string     `json:"subject"`
	Body           string     `json:"body"`
	Channel        string     `json:"channel"`
	BranchID       *string    `json:"branchId"`
	TemplateID     *string    `json:"templateId"`
	Status         string     `json:"status"`
	SentAt         *time.Time `json:"sentAt"`
	RecipientCount int64      `json:"recipientCount"`
}

// MessageInput is what can be said of a message.
type MessageInput struct {
	Subject    string  `json:"subject"`
	Body       string  `json:"body"`
	Channel    string  `json:"channel"`  // email (default), sms
	BranchID   *string `json:"branchId"` // null: the whole church
	TemplateID *string `json:"templateId"`
	Send       bool    `json:"send"` // now; otherwise it is a draft
}

func (in *MessageInput) check() error {
	c := check{}
	c.text("subject", &in.Subject, 1, 200)
	c.text("body", &in.Body, 1, 10000)
	c.choice("channel", &in.Channel, "email", "sms")
	c.optional("branchId", &in.BranchID, 64)
	c.optional("templateId", &in.TemplateID, 64)
	return c.err()
}

// Messages keeps the church's messages.
type Messages struct{ rows[Message] }

// NewMessages returns the service.
func NewMessages() Messages {
	return Messages{rows[Message]{
		"messages",
		`id, subject, body, channel, branch_id, template_id, status, sent_at, created_at, updated_at,
		(SELECT count(*) FROM message_recipients r WHERE r.message_id = messages.id) AS recipient_count`,
	}}
}

// Create writes a message and, if it is to be sent, its recipients, in one transaction. It returns an *InputError for a
// bad input.
func (m Messages) Create(ctx context.Context, db *pgxpool.Pool, in MessageInput) (Message, error) {
	if err := in.check(); err != nil {
		return Message{}, err
	}
	return m.write(ctx, db, in, func(tx pgx.Tx) (id string, err error) {
		err = tx.QueryRow(ctx, `INSERT INTO messages (subject, body, channel, branch_id, template_id)
			VALUES ($1, $2, $3, $4, $5) RETURNING id`,
			in.Subject, in.Body, in.Channel, in.BranchID, in.TemplateID).Scan(&id)
		return id, err
	})
}

// Update replaces a draft, and sends it if that is asked for. It returns ErrNotFound, ErrSent, or an *InputError for a
// bad input.
func (m Messages) Update(ctx context.Context, db *pgxpool.Pool, id string, in MessageInput) (Message, error) {
	if err := in.check(); err != nil {
		return Message{}, err
	}
	return m.write(ctx, db, in, func(tx pgx.Tx) (string, error) {
		var status string
		err := tx.QueryRow(ctx, `SELECT status FROM messages WHERE id = $1 FOR UPDATE`, id).Scan(&status)
		if err != nil {
			return "", err
		}
		if status == "sent" {
			return "", ErrSent
		}
		_, err = tx.Exec(ctx, `UPDATE messages SET subject = $2, body = $3, channel = $4, branch_id = $5,
			template_id = $6, updated_at = now() WHERE id = $1`,
			id, in.Subject, in.Body, in.Channel, in.BranchID, in.TemplateID)
		return id, err
	})
}

// write runs put, sends the message it returns the id of if that is asked for, and reads the result.
func (m Messages) write(ctx context.Context, db *pgxpool.Pool, in MessageInput,
	put func(pgx.Tx) (string, error),
) (Message, error) {
	var written Message
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		id, err := put(tx)
		if err != nil {
			return err
		}
		if in.Send {
			if err := send(ctx, tx, id, in); err != nil {
				return err
			}
		}
		written, err = m.get(ctx, tx, id)
		return err
	})
	return written, explain(err)
}

// send addresses the message to every intended member that its channel can reach.
func send(ctx context.Context, tx pgx.Tx, id string, in MessageInput) error {
	address := map[string]string{"email": "email", "sms": "phone"}[in.Channel]
	_, err := tx.Exec(ctx, `INSERT INTO message_recipients (message_id, member_id, address)
		SELECT $1, id, `+address+` FROM members
		WHERE status <> 'inactive' AND `+address+` IS NOT NULL AND ($2::text IS NULL OR branch_id = $2)`,
		id, in.BranchID)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE messages SET status = 'sent', sent_at = now() WHERE id = $1`, id)
	return err
}
