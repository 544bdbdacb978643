package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// BeginDelete moves an active or suspended tenant to deleting, epoch raised and notified, and claims it for owner for
// ttl. A tenant that is deleting already is claimed too if its claim has expired. It returns [tenancy.ErrNotFound], or
// [registry.ErrConflict] in any other state or while another process deletes it. ctx governs the statement. After any
// other error the tenant may be deleting all the same, for [Catalog.ClaimAbandoned] to claim.
func (cat *Catalog) BeginDelete(ctx context.Context, id tenancy.ID, owner string, ttl time.Duration) (*Claim, error) {
	return cat.beginDelete(ctx, id, owner, ttl, false)
}

// BeginRelease is BeginDelete for a tenant whose database stays ([Claim.KeepDatabase]). A deletion that has begun
// cannot become a release, nor a release a deletion: that is [registry.ErrConflict] too.
func (cat *Catalog) BeginRelease(ctx context.Context, id tenancy.ID, owner string, ttl time.Duration) (*Claim, error) {
	return cat.beginDelete(ctx, id, owner, ttl, true)
}

func (cat *Catalog) beginDelete(
	ctx context.Context, id tenancy.ID, owner string, ttl time.Duration, keep bool,
) (*Claim, error) {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET state = 'deleting', epoch = epoch + 1, attempt = attempt + 1, claim_owner = $2,
		claim_expires = now() + $3::interval, keep_database = $4, updated_at = now()
	WHERE id = $1 AND (state IN ('active', 'suspended')
		OR state = 'deleting' AND claim_expires <= now() AND keep_database = $4)
	RETURNING *
)` + regdb.PublishRows + `
SELECT ` + claimColumns + `, ` + regdb.Notify + `
FROM written JOIN changed t ON t.id = written.tenant_id ` + claimTables
	if err := validateClaim(owner, ttl); err != nil {
		return nil, err
	}
	var row claimed
	err := cat.db.QueryRow(ctx, fmt.Sprintf("delete tenant %q", id), sql, []any{id, owner, ttl, keep},
		append(row.fields(), nil)...)
	if errors.Is(err, pgx.ErrNoRows) {
		state, err := cat.db.State(ctx, id)
		if err == nil {
			err = regdb.Conflict(id, state)
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	return row.decrypt(ctx, cat.db, owner)
}

// ClaimAbandoned claims for owner up to limit tenants that are provisioning, failing or deleting and whose claim has
// expired, oldest first, each with its attempt raised by one. Two processes never get the same one. ctx governs the
// statement.
//
// A sign-up that cannot be read, because a sealed value is broken, its key is not in the ring or there is no admin, is
// not claimed. It is offered again after ttl, and its error is joined into the returned one, beside the other claims.
// The same is true of any tenant that a Sealer cannot open.
func (cat *Catalog) ClaimAbandoned(ctx context.Context, owner string, ttl time.Duration, limit int) ([]*Claim, error) {
	if err := validateClaim(owner, ttl); err != nil {
		return nil, err
	}
	var found []claimed
	err := regdb.Retry(ctx, func() (err error) {
		rows, _ := cat.db.Pool.Query(ctx, claimAbandoned, owner, ttl, limit)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c claimed, err error) {
			err = row.Scan(c.fields()...)
			return c, err
		})
		return err
	})
	if err != nil {
		return nil, regdb.Redact("claim abandoned tenants", err)
	}
	var claims []*Claim
	var errs []error
	for i := range found { // the rows are free by now: a Sealer may ask a network
		row := &found[i]
		c, err := row.decrypt(ctx, cat.db, owner)
		if err != nil {
			errs = append(errs, err, cat.unclaim(ctx, row, owner))
			continue
		}
		claims = append(claims, c)
	}
	return claims, errors.Join(errs...)
}

// unclaim undoes a claim that was not returned to the caller. Its expiry stays.
func (cat *Catalog) unclaim(ctx context.Context, row *claimed, owner string) error {
	_, err := cat.db.Exec(ctx, fmt.Sprintf("give tenant %q back", row.route.ID),
		`UPDATE pgtenancy.tenants SET attempt = attempt - 1, claim_owner = '' WHERE `+fence, row.route.ID, row.Attempt, owner)
	return err
}

// The next call handles rows that another process has locked, for a claim or otherwise.
const claimAbandoned = `
WITH abandoned AS MATERIALIZED (
	SELECT id, claim_expires FROM pgtenancy.tenants
	WHERE state IN ('provisioning', 'failing', 'deleting') AND claim_expires <= now()
	ORDER BY claim_expires, id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
	UPDATE pgtenancy.tenants AS t SET attempt = t.attempt + 1, claim_owner = $1,
		claim_expires = now() + $2::interval, updated_at = now()
	FROM abandoned AS a WHERE t.id = a.id
	RETURNING t.*, a.claim_expires AS expired
)
SELECT ` + claimColumns + ` FROM claimed t ` + claimTables + ` ORDER BY t.expired, t.id`

// Forget deletes every row of a failing or deleting tenant: its name and e-mails are free again, its id is remembered
// and never used again. The idempotency key of a failed sign-up is remembered for a day, as Reserve says. Call it last,
// when database, role and side effects are gone. ctx governs the transaction.
func (cat *Catalog) Forget(ctx context.Context, c *Claim) error {
	const uncount = `UPDATE pgtenancy.servers SET tenants = tenants - 1
		WHERE name = (SELECT server FROM pgtenancy.tenants WHERE ` + fence + `)`
	const forget = `
WITH gone AS (
	DELETE FROM pgtenancy.tenants WHERE ` + fence + ` AND state IN ('failing', 'deleting')
	RETURNING id, epoch, CASE state WHEN 'failing' THEN idempotency_key END AS key, request_hash
), changed AS (
	INSERT INTO pgtenancy.retired_ids (id, epoch, idempotency_key, request_hash)
	SELECT id, epoch + 1, key, CASE WHEN key IS NOT NULL THEN request_hash END FROM gone RETURNING id, epoch
)` + regdb.Publish
	return cat.db.InTx(ctx, fmt.Sprintf("forget tenant %q", c.Tenant.ID), func(tx pgx.Tx) error {
		for _, sql := range []string{uncount, regdb.RemoveAliases(fence), forget} {
			tag, err := tx.Exec(ctx, sql, c.Tenant.ID, c.Attempt, c.Owner)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 && (sql == uncount || sql == forget) {
				return regdb.Refuse(lost(c))
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
