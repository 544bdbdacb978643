package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ResetPasswords uses up a token: in one transaction, which ctx governs, the registry's hash of each admin of changes
// is replaced, their sessions are closed, every other token to reset their password goes, and the intents of the
// tenants' own rows come. It returns [ErrInvalidToken], or [registry.ErrConflict] while one of them is being changed.
func (cat *Catalog) ResetPasswords(ctx context.Context, token tenancy.Secret, changes []*AdminChange, hash string,
	ttl time.Duration,
) error {
	data, err := cat.sealChanges(ctx, changes)
	if err != nil {
		return err
	}
	notes := make([][2]*regdb.Note, len(changes))
	for i, c := range changes {
		if notes[i][0], err = cat.note(ctx, registry.EventPasswordReset, ""); err != nil {
			return err
		}
		if notes[i][1], err = cat.note(ctx, registry.EventSessionsClosed, "password reset"); err != nil {
			return err
		}
		notes[i][0].TenantID, notes[i][0].AdminID = c.TenantID, c.AdminID
	}
	return cat.db.InTx(ctx, "reset password", func(tx pgx.Tx) error {
		if _, err := takeToken(ctx, tx, TokenReset, token); err != nil {
			return err
		}
		for i, c := range changes {
			if _, err := tx.Exec(ctx, `UPDATE pgtenancy.admins SET password_hash = $2, updated_at = now() WHERE id = $1`,
				c.AdminID, hash); err != nil {
				return err
			}
			if err := dropTokens(ctx, tx, c.AdminID); err != nil {
				return err
			}
			if err := beginChange(ctx, tx, c, data[i], ttl); err != nil {
				return err
			}
			if err := notes[i][0].Write(ctx, tx); err != nil {
				return err
			}
		}
		for i, c := range changes { // the feed's row is locked last
			if err := closeSessions(ctx, tx, notes[i][1], `admin_id = $1::text`, c.AdminID); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropTokens makes what was mailed to an admin worthless.
func dropTokens(ctx context.Context, tx pgx.Tx, adminID string) error {
	_, err := tx.Exec(ctx, `DELETE FROM pgtenancy.tokens WHERE admin_id = $1`, adminID)
	return err
}

// SetEmail uses up a token: in one transaction, which ctx governs, an admin gets another e-mail in the registry and in
// the blind index, every other token that was mailed to them goes, and the intent of the tenant's own row and a mail
// come, of which kind and mail are. It returns [ErrInvalidToken], [registry.ErrAdminNotFound],
// [registry.ErrEmailTaken], [registry.ErrEmailBusy], or [registry.ErrConflict] while the admin is being changed.
func (cat *Catalog) SetEmail(ctx context.Context, token tenancy.Secret, c *AdminChange, e registry.Email,
	ttl time.Duration, kind string, mail []byte,
) error {
	data, err := cat.sealChange(ctx, c)
	if err != nil {
		return err
	}
	sealed, err := cat.db.Seal(ctx, []byte(e.Reveal()), "admins", c.AdminID, "email")
	if err != nil {
		return err
	}
	insertMail, mailArgs, err := cat.insertMail(ctx, kind, mail)
	if err != nil {
		return err
	}
	note, err := cat.note(ctx, registry.EventEmailChanged, "")
	if err != nil {
		return err
	}
	note.TenantID, note.AdminID = c.TenantID, c.AdminID
	taken := false
	err = cat.db.InTx(ctx, fmt.Sprintf("set e-mail of admin %q", c.AdminID), func(tx pgx.Tx) error {
		taken = false
		if err := lockAdmins(ctx, tx, c.TenantID, c.AdminID); err != nil {
			return err
		}
		if _, err := takeToken(ctx, tx, TokenEmail, token); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE pgtenancy.admins SET email = $2, updated_at = now() WHERE id = $1`,
			c.AdminID, sealed); err != nil {
			return err
		}
		if err := cat.reindex(ctx, tx, c.AdminID, e); err != nil {
			taken = pgerr.Violated(err) != ""
			return err
		}
		if err := dropTokens(ctx, tx, c.AdminID); err != nil {
			return err
		}
		if err := beginChange(ctx, tx, c, data, ttl); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertMail, mailArgs...); err != nil {
			return err
		}
		return note.Write(ctx, tx)
	})
	if taken {
		return cat.emailTaken(ctx, e)
	}
	return err
}

// reindex puts another e-mail in the admin's rows of the blind index. A row of a key that the ring does not have goes:
// the old e-mail must not be found any more. A row that is missing is registry.Rekey's to write.
func (cat *Catalog) reindex(ctx context.Context, tx pgx.Tx, adminID string, e registry.Email) error {
	var kids []int16
	for _, v := range emailIndex(cat.db, e) {
		kids = append(kids, v.KeyID)
		if _, err := tx.Exec(ctx, `UPDATE pgtenancy.admin_email_index SET bidx = $3 WHERE admin_id = $1 AND kid = $2`,
			adminID, v.KeyID, v.Sum); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `DELETE FROM pgtenancy.admin_email_index WHERE admin_id = $1 AND NOT kid = ANY($2::bigint[])`,
		adminID, kids)
	return err
}
