package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// await waits until the sign-up of id has come to its end in whatever process works on it.
func (p *Provisioner) await(ctx context.Context, id tenancy.ID) (*registry.Tenant, error) {
	const least, most = 20 * time.Millisecond, time.Second
	for wait := least; ; wait = min(wait*3/2, most) {
		t, err := p.cfg.Registry.Tenant(ctx, id)
		switch {
		case errors.Is(err, tenancy.ErrNotFound), err == nil && t.State == tenancy.Failing:
			return nil, ErrFailedBefore
		case err != nil:
			return nil, fmt.Errorf("wait for the sign-up: %w", err)
		case t.State != tenancy.Provisioning:
			return t, nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the sign-up: %w", ctx.Err())
		}
	}
}

// readBack reads a tenant whose sign-up was settled a moment ago. That the connection to the registry broke just then
// is no reason to answer with an error: it tries a few times, for each try costs the pool one such connection.
func (p *Provisioner) readBack(ctx context.Context, id tenancy.ID) (*registry.Tenant, error) {
	const tries = 5
	for try := 1; ; try++ {
		t, err := p.cfg.Registry.Tenant(ctx, id)
		if err == nil || try == tries || errors.Is(err, tenancy.ErrNotFound) {
			return t, err
		}
		select {
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// replay is the answer to a request whose idempotency key is known.
func (p *Provisioner) replay(ctx context.Context, id tenancy.ID, email registry.Email) (*Result, error) {
	t, err := p.await(ctx, id)
	if err != nil {
		return nil, err
	}
	result := &Result{Tenant: t.Tenant, Organization: t.Organization, Replayed: true}
	members, err := p.cfg.Registry.TenantsByEmail(ctx, email)
	if err != nil {
		return nil, fmt.Errorf("find admin: %w", pgerr.Redact(err))
	}
	for _, m := range members {
		if m.TenantID == id {
			if result.Admin, err = p.cfg.Registry.Admin(ctx, m.AdminID); err != nil {
				return nil, fmt.Errorf("read admin: %w", pgerr.Redact(err))
			}
		}
	}
	return result, nil
}
