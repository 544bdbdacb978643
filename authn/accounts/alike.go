package accounts

import (
	"context"
	"errors"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
)

// One person's rows at several tenants have the same hash if the password is the same. A change of the password begins
// at one tenant, the leader, whose row decides. The other rows follow: each has an intent that was written before.

// errNotDecided says that the leader kept its password.
var errNotDecided = errors.New("accounts: password was not changed")

// others returns the other memberships of m's person with that hash; none if the registry does not answer.
func (a *Accounts) others(ctx context.Context, m registry.Membership, hash string) []registry.Membership {
	members, err := a.catalog.MembersOf(ctx, m.AdminID)
	if err != nil || len(members) < 2 {
		return nil
	}
	var others []registry.Membership
	for _, o := range members {
		if o.PasswordHash == hash && o.AdminID != m.AdminID {
			others = append(others, o.Membership)
		}
	}
	return others
}

// beginOthers writes the intents of the other tenants.
func (a *Accounts) beginOthers(ctx context.Context, leader registry.Membership, oldHash, hash string) (
	[]*catalog.AdminChange, error,
) {
	members, err := a.catalog.MembersOf(ctx, leader.AdminID)
	if err != nil {
		return nil, err
	}
	var changes []*catalog.AdminChange
	for _, o := range members {
		if o.PasswordHash == oldHash && o.AdminID != leader.AdminID {
			changes = append(changes, a.newChange(catalog.ChangePassword, o.Membership,
				changeData{PasswordHash: hash, OldHash: oldHash, Leader: leader}))
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, a.step(ctx, stepDecide, func() error { return a.catalog.BeginPasswords(ctx, changes, changeTTL) })
}

// finishOthers brings the other tenants to the leader's new password.
func (a *Accounts) finishOthers(ctx context.Context, changes []*catalog.AdminChange) error {
	var errs []error
	for _, c := range changes {
		errs = append(errs, a.finish(ctx, c))
	}
	return errors.Join(errs...)
}

// withdrawOthers is best effort: what stays is withdrawn by Run.
func (a *Accounts) withdrawOthers(ctx context.Context, changes []*catalog.AdminChange) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	for _, c := range changes {
		if a.catalog.WithdrawChange(ctx, c) != nil {
			return
		}
	}
}

// followLeader changes the password of a tenant's row and the registry's copy of it if the leader's row was changed. A
// row that has another hash than the leader had before is left alone: its password is another one.
func (a *Accounts) followLeader(ctx context.Context, c *catalog.AdminChange, d changeData) error {
	leader, err := a.find(ctx, d.Leader)
	switch {
	case errors.Is(err, ErrProfileNotFound), err == nil && leader.PasswordHash == d.OldHash:
		return errNotDecided
	case err != nil:
		return err
	}
	m := registry.Membership{TenantID: c.TenantID, AdminID: c.AdminID}
	err = a.setTenantPassword(ctx, m, d.OldHash, d.PasswordHash)
	if err != nil && !errors.Is(err, ErrPasswordChanged) {
		return err
	}
	if err != nil && !a.has(ctx, m, d.PasswordHash) {
		return nil
	}
	err = a.catalog.ChangeAdminPassword(ctx, c.AdminID, d.OldHash, d.PasswordHash, "")
	if errors.Is(err, registry.ErrConflict) { // it has the new one already
		return nil
	}
	return err
}
