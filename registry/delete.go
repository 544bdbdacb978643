package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// BeginDelete moves an active or suspended tenant to deleting, epoch raised and notified, and claims it for owner for
// ttl. A tenant that is deleting already is claimed too if its claim has expired. It returns [tenancy.ErrNotFound],
// or [ErrConflict] in any other state or while another process deletes it. ctx governs the transaction.
func (r *Registry) BeginDelete(ctx context.Context, id tenancy.ID, owner string, ttl time.Duration) (*Claim, error) {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET state = 'deleting', epoch = epoch + 1, attempt = attempt + 1, claim_owner = $2,
		claim_expires = now() + $3::interval, updated_at = now()
	WHERE id = $1 AND (state IN ('active', 'suspended') OR state = 'deleting' AND claim_expires <= now())
	RETURNING id, epoch
)` + announce
	if err := validateClaim(owner, ttl); err != nil {
		return nil, err
	}
	var c *Claim
	err := r.inTx(ctx, fmt.Sprintf("delete tenant %q", id), func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, id, owner, ttl)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return refuse(ErrConflict)
		}
		c, err = r.claimed(ctx, tx, id, owner)
		return err
	})
	if errors.Is(err, ErrConflict) {
		state, err := r.state(ctx, id)
		if err == nil {
			err = conflict(id, state)
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ClaimAbandoned claims for owner up to limit tenants that are provisioning, failing or deleting and whose claim has
// expired, oldest first, each with its attempt raised by one. Two processes never get the same one. ctx governs the
// transaction.
//
// A tenant that cannot be read, because a sealed value is broken, its key is not in the ring or there is no admin, keeps
// nobody from the others: it is not claimed, is offered again after ttl, and its error is in the one returned, beside
// the claims.
func (r *Registry) ClaimAbandoned(ctx context.Context, owner string, ttl time.Duration, limit int) ([]*Claim, error) {
	if err := validateClaim(owner, ttl); err != nil {
		return nil, err
	}
	var claims []*Claim
	var broken []tenancy.ID
	var errs []error
	err := r.inTx(ctx, "claim abandoned tenants", func(tx pgx.Tx) error {
		claims, broken, errs = nil, nil, nil
		rows, _ := tx.Query(ctx, claimAbandoned, owner, ttl, limit)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[tenancy.ID])
		if err != nil {
			return err
		}
		for _, id := range ids {
			c, err := r.claimed(ctx, tx, id, owner)
			var unreadable refusal
			switch {
			case errors.As(err, &unreadable):
				broken, errs = append(broken, id), append(errs, unreadable.error)
			case err != nil:
				return err
			default:
				claims = append(claims, c)
			}
		}
		if len(broken) > 0 {
			_, err = tx.Exec(ctx, unclaim, broken)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return claims, errors.Join(errs...)
}

// unclaim takes a claim back that nobody was given. The time until which it would have held stays.
const unclaim = `UPDATE pgtenancy.tenants SET attempt = attempt - 1, claim_owner = '' WHERE id = ANY($1::text[])`

// Whoever waits for a row that another process is claiming looks at its condition again, and then skips it.
const claimAbandoned = `
WITH abandoned AS (
	SELECT id, claim_expires FROM pgtenancy.tenants
	WHERE state IN ('provisioning', 'failing', 'deleting') AND claim_expires <= now()
	ORDER BY claim_expires, id LIMIT $3
), claimed AS (
	UPDATE pgtenancy.tenants AS t SET attempt = t.attempt + 1, claim_owner = $1,
		claim_expires = now() + $2::interval, updated_at = now()
	FROM abandoned AS a
	WHERE t.id = a.id AND t.state IN ('provisioning', 'failing', 'deleting') AND t.claim_expires <= now()
	RETURNING t.id, a.claim_expires AS expired
)
SELECT id FROM claimed ORDER BY expired, id`

// Forget deletes every row of a failing or deleting tenant: its name and e-mails are free again, its id is remembered so
// that it is never given out twice. The idempotency key of one that failed is remembered for a day, as Reserve says.
// Call it last, when database, role and side effects are gone.
// ctx governs the transaction.
func (r *Registry) Forget(ctx context.Context, c *Claim) error {
	const uncount = `UPDATE pgtenancy.servers SET tenants = tenants - 1
		WHERE name = (SELECT server FROM pgtenancy.tenants WHERE ` + fence + `)`
	const forget = `
WITH gone AS (
	DELETE FROM pgtenancy.tenants WHERE ` + fence + ` AND state IN ('failing', 'deleting')
	RETURNING id, epoch, CASE state WHEN 'failing' THEN idempotency_key END AS key, request_hash
), changed AS (
	INSERT INTO pgtenancy.retired_ids (id, epoch, idempotency_key, request_hash)
	SELECT id, epoch + 1, key, CASE WHEN key IS NOT NULL THEN request_hash END FROM gone RETURNING id, epoch
)` + announce
	return r.inTx(ctx, fmt.Sprintf("forget tenant %q", c.Tenant.ID), func(tx pgx.Tx) error {
		for _, sql := range []string{uncount, forget} {
			tag, err := tx.Exec(ctx, sql, c.Tenant.ID, c.Attempt, c.Owner)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 {
				return refuse(lost(c))
			}
		}
		return nil
	})
}

func validateClaim(owner string, ttl time.Duration) error {
	if owner == "" || ttl <= 0 {
		return errors.New("registry: a claim must have an owner and a positive time to live")
	}
	return nil
}
