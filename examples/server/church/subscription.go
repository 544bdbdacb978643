package church

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Subscription is what the church pays for.
type Subscription struct {
	Base
	Plan             string    `json:"plan"`
	Status           string    `json:"status"`
	Seats            int32     `json:"seats"`
	CurrentPeriodEnd time.Time `json:"currentPeriodEnd"`
}

// SubscriptionInput is what can be said of a subscription.
type SubscriptionInput struct {
	Plan             string `json:"plan"`             // basic (default), plus, premium
	Status           string `json:"status"`           // trialing (default), active, past_due, cancelled
	Seats            int32  `json:"seats"`            // default 1
	CurrentPeriodEnd string `json:"currentPeriodEnd"` // RFC 3339
}

func (in *SubscriptionInput) check() (end time.Time, err error) {
	c := check{}
	c.choice("plan", &in.Plan, "basic", "plus", "premium")
	c.choice("status", &in.Status, "trialing", "active", "past_due", "cancelled")
	if in.Seats == 0 {
		in.Seats = 1
	}
	if in.Seats < 1 || in.Seats > 10000 {
		c["seats"] = "must be 1 to 10000"
	}
	end = c.moment("currentPeriodEnd", in.CurrentPeriodEnd)
	return end, c.err()
}

// Subscriptions keeps what the church pays for: at most one uncancelled subscription.
type Subscriptions struct{ rows[Subscription] }

// NewSubscriptions returns the service.
func NewSubscriptions() Subscriptions {
	return Subscriptions{rows[Subscription]{
		"subscriptions",
		"id, plan, status, seats, current_period_end, created_at, updated_at",
	}}
}

// Create adds a subscription. It returns an *InputError for a bad input.
func (s Subscriptions) Create(ctx context.Context, db *pgxpool.Pool, in SubscriptionInput) (Subscription, error) {
	end, err := in.check()
	if err != nil {
		return Subscription{}, err
	}
	return one[Subscription](ctx, db, `INSERT INTO subscriptions (plan, status, seats, current_period_end)
		VALUES ($1, $2, $3, $4) RETURNING `+s.columns, in.Plan, in.Status, in.Seats, end)
}

// Update replaces a subscription. It returns ErrNotFound, or an *InputError for a bad input.
func (s Subscriptions) Update(ctx context.Context, db *pgxpool.Pool, id string,
	in SubscriptionInput,
) (Subscription, error) {
	end, err := in.check()
	if err != nil {
		return Subscription{}, err
	}
	return one[Subscription](ctx, db, `UPDATE subscriptions SET plan = $2, status = $3, seats = $4,
		current_period_end = $5, updated_at = now() WHERE id = $1 RETURNING `+s.columns,
		id, in.Plan, in.Status, in.Seats, end)
}
