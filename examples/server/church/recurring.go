package church

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Recurring is a template that is sent again and again.
type Recurring struct {
	Base
	Name       string    `json:"name"`
	TemplateID string    `json:"templateId"`
	BranchID   *string   `json:"branchId"`
	Frequency  string    `json:"frequency"`
	NextRunAt  time.Time `json:"nextRunAt"`
	Active     bool      `json:"active"`
}

// RecurringInput is what can be said of a recurring message.
type RecurringInput struct {
	Name       string  `json:"name"`
	TemplateID string  `json:"templateId"`
	BranchID   *string `json:"branchId"`  // null: the whole church
	Frequency  string  `json:"frequency"` // weekly (default), daily, monthly
	NextRunAt  string  `json:"nextRunAt"` // RFC 3339
	Active     *bool   `json:"active"`    // default true
}

func (in *RecurringInput) check() (next time.Time, active bool, err error) {
	c := check{}
	c.text("name", &in.Name, 1, 120)
	c.text("templateId", &in.TemplateID, 1, 64)
	c.optional("branchId", &in.BranchID, 64)
	c.choice("frequency", &in.Frequency, "weekly", "daily", "monthly")
	next = c.moment("nextRunAt", in.NextRunAt)
	return next, in.Active == nil || *in.Active, c.err()
}

// RecurringMessages keeps messages that are sent again and again.
type RecurringMessages struct{ rows[Recurring] }

// NewRecurringMessages returns the service.
func NewRecurringMessages() RecurringMessages {
	return RecurringMessages{rows[Recurring]{
		"recurring_messages",
		"id, name, template_id, branch_id, frequency, next_run_at, active, created_at, updated_at",
	}}
}

// Create adds a recurring message. It returns an *InputError for a bad input.
func (r RecurringMessages) Create(ctx context.Context, db *pgxpool.Pool, in RecurringInput) (Recurring, error) {
	next, active, err := in.check()
	if err != nil {
		return Recurring{}, err
	}
	return one[Recurring](ctx, db, `INSERT INTO recurring_messages
		(name, template_id, branch_id, frequency, next_run_at, active) VALUES ($1, $2, $3, $4, $5, $6)
		RETURNING `+r.columns, in.Name, in.TemplateID, in.BranchID, in.Frequency, next, active)
}

// Update replaces a recurring message. It returns ErrNotFound, or an *InputError for a bad input.
func (r RecurringMessages) Update(ctx context.Context, db *pgxpool.Pool, id string,
	in RecurringInput,
) (Recurring, error) {
	next, active, err := in.check()
	if err != nil {
		return Recurring{}, err
	}
	return one[Recurring](ctx, db, `UPDATE recurring_messages SET name = $2, template_id = $3, branch_id = $4,
		frequency = $5, next_run_at = $6, active = $7, updated_at = now() WHERE id = $1 RETURNING `+r.columns,
		id, in.Name, in.TemplateID, in.BranchID, in.Frequency, next, active)
}
