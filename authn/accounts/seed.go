package accounts

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

// names is what a sign-up hands to the seed in provision.Request.Data, sealed in the registry until the tenant is
// active.
type names struct {
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
}

// Seed returns the function for provision.Config.Seed that writes the first admin into the new tenant's database. It
// may run more than once, and writes nothing for a tenant without an admin. To seed more, call it from a function of
// your own.
func Seed(p Profiles) func(ctx context.Context, tx pgx.Tx, s provision.Seed) error {
	return func(ctx context.Context, tx pgx.Tx, s provision.Seed) error {
		if s.Admin.ID == "" { // a tenant without people
			return nil
		}
		var n names
		if err := json.Unmarshal(s.Data, &n); err != nil {
			return fmt.Errorf("accounts: seed: sign-up of tenant %q carries no names", s.Tenant.ID)
		}
		return p.Insert(ctx, tx, Profile{
			ID:           s.Admin.ID,
			Email:        s.Admin.Email.Reveal(),
			FirstName:    n.FirstName,
			LastName:     n.LastName,
			Role:         s.Admin.Role,
			PasswordHash: s.Admin.PasswordHash,
		})
	}
}
