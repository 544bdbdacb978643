package church

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Template is a text to write messages from.
type Template struct {
	Base
	Name    string `json:"name"`
	Channel string `json:"channel"`
	Subject string `json:"subject"`
	Body    string `json:"body"`
}

// TemplateInput is what can be said of a template.
type TemplateInput struct {
	Name    string `json:"name"`
	Channel string `json:"channel"` // email (default), sms
	Subject string `json:"subject"`
	Body    string `json:"body"`
}

func (in *TemplateInput) check() error {
	c := check{}
	c.text("name", &in.Name, 1, 120)
	c.choice("channel", &in.Channel, "email", "sms")
	c.text("subject", &in.Subject, 0, 200)
	c.text("body", &in.Body, 1, 10000)
	return c.err()
}

// Templates keeps the texts.
type Templates struct{ rows[Template] }

// NewTemplates returns the service.
func NewTemplates() Templates {
	return Templates{rows[Template]{"message_templates", "id, name, channel, subject, body, created_at, updated_at"}}
}

// Create adds a template. It returns an *InputError for a bad input.
func (t Templates) Create(ctx context.Context, db *pgxpool.Pool, in TemplateInput) (Template, error) {
	if err := in.check(); err != nil {
		return Template{}, err
	}
	return one[Template](ctx, db, `INSERT INTO message_templates (name, channel, subject, body)
		VALUES ($1, $2, $3, $4) RETURNING `+t.columns, in.Name, in.Channel, in.Subject, in.Body)
}

// Update replaces a template. It returns ErrNotFound, or an *InputError for a bad input.
func (t Templates) Update(ctx context.Context, db *pgxpool.Pool, id string, in TemplateInput) (Template, error) {
	if err := in.check(); err != nil {
		return Template{}, err
	}
	return one[Template](ctx, db, `UPDATE message_templates SET name = $2, channel = $3, subject = $4, body = $5,
		updated_at = now() WHERE id = $1 RETURNING `+t.columns, id, in.Name, in.Channel, in.Subject, in.Body)
}
