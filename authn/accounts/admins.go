package accounts

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
)

// Admins returns the admins of the manager's tenant in the order in which they came, without their password hashes. Of
// an admin whom the tenant's database does not have, or not yet, the names are empty. ctx governs the whole of it.
func (a *Accounts) Admins(ctx context.Context, by Manager) ([]Profile, error) {
	ctx, err := a.authorize(ctx, by, "")
	if err != nil {
		return nil, err
	}
	admins, err := a.cfg.Registry.Admins(ctx, by.tenant)
	if err != nil {
		return nil, err
	}
	profiles := make([]Profile, len(admins))
	err = a.cfg.Resolver.AcquireFunc(ctx, by.tenant, func(ctx context.Context, db *pgxpool.Pool) error {
		for i, admin := range admins {
			p, err := a.cfg.Profiles.Find(ctx, db, admin.ID)
			switch {
			case errors.Is(err, ErrProfileNotFound):
				p = Profile{ID: admin.ID, Email: admin.Email.Reveal(), Role: admin.Role}
			case err != nil:
				return err
			}
			p.PasswordHash = ""
			profiles[i] = p
		}
		return nil
	})
	return profiles, err
}

// SetRole gives an admin of the manager's tenant another role, in both of the admin's rows, and ends their sessions:
// no access token keeps the old role. ctx governs it until the registry has decided.
//
// It returns *[InputError], [ErrForbidden], registry.ErrAdminNotFound, registry.ErrConflict while that admin is being
// changed, and [ErrLastPrimary]. After [ErrUnfinished] the role is decided on, and Run finishes it.
func (a *Accounts) SetRole(ctx context.Context, by Manager, adminID, role string) error {
	if problem := checkRole(role); problem != "" {
		return &InputError{Fields: map[string]string{"role": problem}}
	}
	ctx, m, old, err := a.manage(ctx, by, adminID, role)
	if err != nil {
		return err
	}
	c := a.newChange(catalog.ChangeRole, m, changeData{Role: role, OldRole: old})
	return a.change(ctx, c, func(ctx context.Context) error { return a.catalog.SetRole(ctx, c, role, changeTTL) })
}

// Remove takes an admin's right to sign in to the manager's tenant: at once their sessions end and no other can be
// opened, and then both rows go. It returns what SetRole does. Profiles decides what becomes of a row that other rows
// of the tenant refer to: see Table.Delete.
func (a *Accounts) Remove(ctx context.Context, by Manager, adminID string) error {
	ctx, m, _, err := a.manage(ctx, by, adminID)
	if err != nil {
		return err
	}
	c := a.newChange(catalog.ChangeRemove, m, changeData{})
	return a.change(ctx, c, func(ctx context.Context) error { return a.catalog.RemoveAdmin(ctx, c, changeTTL) })
}

// manage authorizes a change of one admin, and returns their role: by must be allowed to take it, and to give roles.
func (a *Accounts) manage(ctx context.Context, by Manager, adminID string, roles ...string) (
	context.Context, registry.Membership, string, error,
) {
	m := registry.Membership{TenantID: by.tenant, AdminID: adminID}
	if _, err := a.editor(); err != nil {
		return nil, m, "", err
	}
	if ctx, err := a.authorize(ctx, by, ""); err != nil { // before it tells whether there is such an admin
		return ctx, m, "", err
	}
	admin, err := a.cfg.Registry.Admin(ctx, adminID)
	if err != nil {
		return nil, m, "", err
	}
	ctx, err = a.authorize(ctx, by, append(roles, admin.Role)...)
	return ctx, m, admin.Role, err
}

const maxRole = 64 // bytes

func checkRole(role string) string {
	switch {
	case role == "":
		return "is required"
	case len(role) > maxRole || checkName(role) != "":
		return "must be text of at most 64 bytes"
	}
	return ""
}
