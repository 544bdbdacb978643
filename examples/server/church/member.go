package church

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Member is a person of the congregation.
type Member struct {
	Base
	FirstName string  `json:"firstName"`
	LastName  string  `json:"lastName"`
	Email     *string `json:"email"`
	Phone     *string `json:"phone"`
	Status    string  `json:"status"`
	BranchID  *string `json:"branchId"`
}

// MemberInput is what can be said of a member.
type MemberInput struct {
	FirstName string  `json:"firstName"`
	LastName  string  `json:"lastName"`
	Email     *string `json:"email"`
	Phone     *string `json:"phone"`
	Status    string  `json:"status"` // active (default), visitor, inactive
	BranchID  *string `json:"branchId"`
}

func (in *MemberInput) check() error {
	c := check{}
	c.text("firstName", &in.FirstName, 1, 80)
	c.text("lastName", &in.LastName, 1, 80)
	c.email("email", &in.Email)
	c.phone("phone", &in.Phone)
	c.choice("status", &in.Status, "active", "visitor", "inactive")
	c.optional("branchId", &in.BranchID, 64)
	return c.err()
}

// Members keeps the congregation.
type Members struct{ rows[Member] }

// NewMembers returns the service.
func NewMembers() Members {
	return Members{rows[Member]{
		"members",
		"id, first_name, last_name, email, phone, status, branch_id, created_at, updated_at",
	}}
}

// Create adds a member. It returns an *InputError for a bad input.
func (m Members) Create(ctx context.Context, db *pgxpool.Pool, in MemberInput) (Member, error) {
	if err := in.check(); err != nil {
		return Member{}, err
	}
	return one[Member](ctx, db, `INSERT INTO members (first_name, last_name, email, phone, status, branch_id)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING `+m.columns,
		in.FirstName, in.LastName, in.Email, in.Phone, in.Status, in.BranchID)
}

// Update replaces a member. It returns ErrNotFound, or an *InputError for a bad input.
func (m Members) Update(ctx context.Context, db *pgxpool.Pool, id string, in MemberInput) (Member, error) {
	if err := in.check(); err != nil {
		return Member{}, err
	}
	return one[Member](ctx, db, `UPDATE members SET first_name = $2, last_name = $3, email = $4, phone = $5,
		status = $6, branch_id = $7, updated_at = now() WHERE id = $1 RETURNING `+m.columns,
		id, in.FirstName, in.LastName, in.Email, in.Phone, in.Status, in.BranchID)
}
