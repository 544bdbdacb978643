package accounts

import (
	"context"
	"fmt"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Manager is on whose behalf a tenant's admins are listed, invited, changed and removed. [ByAdmin] and [ByOperator]
// make one; the zero Manager may do nothing.
type Manager struct {
	tenant   tenancy.ID
	identity authn.Identity // zero: an operator
	operator string
}

// Format implements [fmt.Formatter].
func (m Manager) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "manager of tenant %q", string(m.tenant))
}

// ByAdmin returns the Manager for a signed-in admin of the tenant. Config.MayManage decides what the admin may do, by
// the role that the tenant's database has now. [ErrForbidden] refuses the rest.
func ByAdmin(id *authn.Identity) Manager {
	m := member(id)
	return Manager{tenant: m.TenantID, identity: *id}
}

// ByOperator is a program or a person of the service itself, who may do anything. name is recorded with what is done:
// see registry.Events. The caller has checked that this is an operator.
func ByOperator(tenant tenancy.ID, name string) Manager {
	return Manager{tenant: tenant, operator: name}
}

// authorize returns ctx with the manager as its actor, or ErrForbidden unless the manager may give and take all of
// roles.
func (a *Accounts) authorize(ctx context.Context, m Manager, roles ...string) (context.Context, error) {
	switch {
	case m.tenant == "":
		return nil, ErrForbidden
	case m.identity.Subject == "":
		return acting(ctx, m.operator, Client{}), nil
	}
	if err := a.catalog.CheckSession(ctx, m.identity.Subject, m.identity.Session); err != nil {
		return nil, err
	}
	profile, err := a.find(ctx, member(&m.identity))
	if err != nil {
		return nil, err
	}
	for _, role := range roles {
		if !a.cfg.MayManage(profile.Role, role) {
			return nil, ErrForbidden
		}
	}
	return acting(ctx, profile.ID, Client{}), nil
}

// acting returns ctx with what is known of its actor; what the caller has said of the actor stays.
func acting(ctx context.Context, id string, c Client) context.Context {
	actor := registry.ActorOf(ctx)
	if actor.ID == "" {
		actor.ID = id
	}
	if !actor.Addr.IsValid() {
		actor.Addr = c.Addr
	}
	if actor.UserAgent == "" {
		actor.UserAgent = c.UserAgent
	}
	return registry.WithActor(ctx, actor)
}
