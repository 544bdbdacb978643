package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// AddAdmin uses up an invitation: in one transaction, which ctx governs, its token goes, the admin's row and the intent
// of the tenant's own row come. From then on the admin is added by whichever process ends c. It returns
// [ErrInvalidToken] if the token is used or expired, a *[tenancy.StateError] if the tenant is not active,
// [registry.ErrEmailTaken], or [registry.ErrEmailBusy] while the e-mail's tenant is being made or unmade.
func (cat *Catalog) AddAdmin(ctx context.Context, token tenancy.Secret, admin registry.Admin, c *AdminChange,
	ttl time.Duration,
) error {
	data, err := cat.sealChange(ctx, c)
	if err != nil {
		return err
	}
	added, err := cat.note(ctx, registry.EventAdminAdded, admin.Role)
	if err != nil {
		return err
	}
	added.TenantID, added.AdminID = c.TenantID, admin.ID
	b := new(pgx.Batch)
	if err := cat.queueAdmin(ctx, b, c.TenantID, admin); err != nil {
		return err
	}
	taken := false
	err = cat.db.InTx(ctx, fmt.Sprintf("add admin of tenant %q", c.TenantID), func(tx pgx.Tx) error {
		taken = false
		if err := lockActive(ctx, tx, c.TenantID); err != nil {
			return err
		}
		t, err := takeToken(ctx, tx, TokenInvite, token)
		if err != nil {
			return err
		}
		added.Object = t.ID
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			taken = pgerr.Violated(err) != ""
			return err
		}
		if err := beginChange(ctx, tx, c, data, ttl); err != nil {
			return err
		}
		return added.Write(ctx, tx)
	})
	if taken {
		return cat.emailTaken(ctx, admin.Email)
	}
	return err
}

// queueAdmin queues the admin's row and its rows of the blind index.
func (cat *Catalog) queueAdmin(ctx context.Context, b *pgx.Batch, id tenancy.ID, a registry.Admin) error {
	return insertAdmin(ctx, cat.db, b, id, a)
}

// UndoAdd takes an admin back whom the tenant's database cannot have. It returns [ErrClaimLost] when another process
// has claimed the change since. ctx governs the transaction.
func (cat *Catalog) UndoAdd(ctx context.Context, c *AdminChange) error {
	undone, err := cat.note(ctx, registry.EventAdminNotAdded, "")
	if err != nil {
		return err
	}
	undone.TenantID, undone.AdminID = c.TenantID, c.AdminID
	return cat.db.InTx(ctx, fmt.Sprintf("undo admin %q", c.AdminID), func(tx pgx.Tx) error {
		if err := dropChange(ctx, tx, c); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM pgtenancy.admins WHERE id = $1`, c.AdminID); err != nil {
			return err
		}
		return undone.Write(ctx, tx)
	})
}

// lockActive refuses unless the tenant is active, and keeps it so until the transaction ends.
func lockActive(ctx context.Context, tx pgx.Tx, id tenancy.ID) error {
	var state tenancy.State
	err := tx.QueryRow(ctx, `SELECT state FROM pgtenancy.tenants WHERE id = $1 FOR SHARE`, id).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		return regdb.Refuse(regdb.NotFound(id))
	}
	if err == nil && state != tenancy.Active {
		return regdb.Refuse(&tenancy.StateError{ID: id, State: state})
	}
	return err
}
