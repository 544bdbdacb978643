package church

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Branch is a place where the church meets.
type Branch struct {
	Base
	Name    string  `json:"name"`
	City    string  `json:"city"`
	Address string  `json:"address"`
	Phone   *string `json:"phone"`
}

// BranchInput is what can be said of a branch.
type BranchInput struct {
	Name    string  `json:"name"`
	City    string  `json:"city"`
	Address string  `json:"address"`
	Phone   *string `json:"phone"`
}

func (in *BranchInput) check() error {
	c := check{}
	c.text("name", &in.Name, 1, 120)
	c.text("city", &in.City, 0, 120)
	c.text("address", &in.Address, 0, 500)
	c.phone("phone", &in.Phone)
	return c.err()
}

// Branches keeps the church's places.
type Branches struct{ rows[Branch] }

// NewBranches returns the service.
func NewBranches() Branches {
	return Branches{rows[Branch]{"branches", "id, name, city, address, phone, created_at, updated_at"}}
}

// Create adds a branch. It returns an *InputError for a bad input.
func (b Branches) Create(ctx context.Context, db *pgxpool.Pool, in BranchInput) (Branch, error) {
	if err := in.check(); err != nil {
		return Branch{}, err
	}
	return one[Branch](ctx, db, `INSERT INTO branches (name, city, address, phone) VALUES ($1, $2, $3, $4)
		RETURNING `+b.columns, in.Name, in.City, in.Address, in.Phone)
}

// Update replaces a branch. It returns ErrNotFound, or an *InputError for a bad input.
func (b Branches) Update(ctx context.Context, db *pgxpool.Pool, id string, in BranchInput) (Branch, error) {
	if err := in.check(); err != nil {
		return Branch{}, err
	}
	return one[Branch](ctx, db, `UPDATE branches SET name = $2, city = $3, address = $4, phone = $5,
		updated_at = now() WHERE id = $1 RETURNING `+b.columns, id, in.Name, in.City, in.Address, in.Phone)
}
