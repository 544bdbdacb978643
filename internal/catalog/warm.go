package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Warm is a database to be made ahead of sign-ups. Its id, names and password are those of the tenant that it will be.
type Warm struct {
	ID         tenancy.ID
	Database   string
	Role       string
	Password   tenancy.Secret // the role's; sealed at rest
	Server     string
	SchemaHash string
	Most       int // make none if the server has so many of that schema

	Owner string
	TTL   time.Duration // of the claim
}

// PlanWarm writes the intent to make a warm database and claims it, in one statement, which ctx governs. It returns
// [ErrNotWanted] when the server is not open, has Most of that schema or no room for more tenants; when one is being
// made there already, by any process, or waits to be tried again; or when sign-ups are running there and the remaining
// stock suffices for them.
//
// The caller owns the claim, which knows no organization and no admin. It must Extend it, and end it by WarmReady or
// ReleaseClaim.
func (cat *Catalog) PlanWarm(ctx context.Context, w Warm) (*Claim, error) {
	if !w.ID.Valid() {
		return nil, tenancy.ErrInvalidID
	}
	if err := validateClaim(w.Owner, w.TTL); err != nil {
		return nil, err
	}
	const sql = `
WITH stock AS (
	SELECT count(*) FILTER (WHERE state = 'ready') AS ready, count(*) FILTER (WHERE made_at IS NULL) AS making
	FROM pgtenancy.warm_databases WHERE server = $2 AND schema_hash = $6
), planned AS (
	INSERT INTO pgtenancy.warm_databases AS w (id, state, server, database, role_name, password, schema_hash, attempt,
		claim_owner, claim_expires)
	SELECT $1, 'making', s.name, $3, $4, $5, $6, 1, $7, now() + $8::interval
	FROM pgtenancy.servers s CROSS JOIN stock
	WHERE s.name = $2 AND s.state = 'open' AND stock.ready < $9 AND stock.making = 0
		AND (s.capacity = 0 OR s.tenants + stock.ready < s.capacity)
		AND (stock.ready = 0 OR NOT EXISTS (
			SELECT 1 FROM pgtenancy.tenants t
			WHERE t.server = s.name AND t.state = 'provisioning' AND t.claim_owner <> '' AND t.claim_expires > now()))
	RETURNING w.*
)
SELECT ` + warmColumns + ` FROM (SELECT *, 1::bigint AS epoch FROM planned) t ` + warmServer
	sealed, err := cat.db.Seal(ctx, []byte(w.Password.Reveal()), "tenants", string(w.ID), "password")
	if err != nil {
		return nil, err
	}
	claims, err := cat.warmClaims(ctx, fmt.Sprintf("plan warm database %q", w.ID), sql,
		w.ID, w.Server, w.Database, w.Role, sealed, w.SchemaHash, w.Owner, w.TTL, w.Most)
	var e *regdb.Error
	if errors.As(err, &e) && pgerr.Violated(e.Reason) == "warm_databases_making_key" || err == nil && len(claims) == 0 {
		return nil, fmt.Errorf("%w: on server %q", ErrNotWanted, w.Server)
	}
	if err != nil {
		return nil, err
	}
	return claims[0], nil
}

// WarmReady gives a warm database that is whole to the next sign-up, and ends the claim. ctx governs the statement.
func (cat *Catalog) WarmReady(ctx context.Context, c *Claim) error {
	return cat.fenced(ctx, "stock", `
		UPDATE pgtenancy.warm_databases SET state = 'ready', claim_owner = '', claim_expires = now(), wanted_at = now(),
			made_at = now(), updated_at = now()
		WHERE `+fence+` AND state = 'making'`, c)
}

// WantWarm keeps the warm databases of that schema on a server from being retired. Call it several times within the
// Idle of [Catalog.ClaimWarm]. ctx governs the statement.
func (cat *Catalog) WantWarm(ctx context.Context, server, schemaHash string) error {
	_, err := cat.db.Exec(ctx, fmt.Sprintf("want warm databases on server %q", server), `
		UPDATE pgtenancy.warm_databases SET wanted_at = now()
		WHERE server = $1 AND schema_hash = $2 AND wanted_at < now() - interval '5 seconds'`, server, schemaHash)
	return err
}

// WarmWork says which warm databases a process takes on.
type WarmWork struct {
	Owner      string
	TTL        time.Duration // of the claims
	SchemaHash string        // of the databases that this process can finish
	Attempts   int           // limit: databases tried so often are not finished
	Idle       time.Duration // those of a schema that no keeper wanted for so long are retired
	Limit      int
}

// ClaimWarm claims warm databases whose maker is gone or that no process wants, oldest first; two processes
// never get the same one. ctx governs the statement. Those whose Tenant.State is provisioning are to be finished; those
// that are failing (they never were whole) or deleting are out of stock from then on, and are to be dropped and
// forgotten.
//
// A database whose password does not open is never finished: dropping it needs no password.
func (cat *Catalog) ClaimWarm(ctx context.Context, w WarmWork) ([]*Claim, error) {
	if err := validateClaim(w.Owner, w.TTL); err != nil {
		return nil, err
	}
	const sql = `
WITH due AS MATERIALIZED (
	SELECT id FROM pgtenancy.warm_databases
	WHERE claim_expires <= now() AND (state <> 'ready' OR wanted_at <= now() - $5::interval)
	ORDER BY claim_expires, id LIMIT $6 FOR UPDATE SKIP LOCKED
), claimed AS (
	UPDATE pgtenancy.warm_databases w SET attempt = attempt + 1, claim_owner = $1, claim_expires = now() + $2::interval,
		updated_at = now(),
		state = CASE WHEN state = 'making' AND schema_hash = $3 AND attempt < $4 AND wanted_at > now() - $5::interval
			THEN 'making' ELSE 'retiring' END
	FROM due WHERE w.id = due.id RETURNING w.*
)
SELECT ` + warmColumns + ` FROM (SELECT *, 1::bigint AS epoch FROM claimed) t ` + warmServer
	return cat.warmClaims(ctx, "claim warm databases", sql, w.Owner, w.TTL, w.SchemaHash, w.Attempts, w.Idle, w.Limit)
}

// ForgetWarm deletes the row of a warm database that is to be dropped. Call it when database and role are gone. ctx
// governs the statement.
func (cat *Catalog) ForgetWarm(ctx context.Context, c *Claim) error {
	return cat.fenced(ctx, "forget", `DELETE FROM pgtenancy.warm_databases WHERE `+fence, c)
}

// WarmStock returns the ids of the warm databases of that schema that are ready on a server, in the order in which
// sign-ups get them. ctx governs the query.
func (cat *Catalog) WarmStock(ctx context.Context, server, schemaHash string) ([]tenancy.ID, error) {
	rows, _ := cat.db.Pool.Query(ctx, `SELECT id FROM pgtenancy.warm_databases
		WHERE server = $1 AND schema_hash = $2 AND state = 'ready' ORDER BY made_at, id`, server, schemaHash)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[tenancy.ID])
	return ids, regdb.Redact(fmt.Sprintf("warm databases on server %q", server), err)
}

// IsWarm reports whether id is a warm database's, in any state. A sign-up may take it a moment later: to know that
// an id is unused, call IsWarm first and Tenant second. ctx governs the query.
func (cat *Catalog) IsWarm(ctx context.Context, id tenancy.ID) (warm bool, err error) {
	err = cat.db.QueryRow(ctx, fmt.Sprintf("warm database %q", id),
		`SELECT EXISTS (SELECT 1 FROM pgtenancy.warm_databases WHERE id = $1)`, []any{id}, &warm)
	return warm, err
}

const (
	warmColumns = regdb.RouteColumns + `, ` + regdb.ServerColumns + `, t.attempt, t.step, t.claim_owner, t.claim_expires,
		t.made_at IS NOT NULL`
	warmServer = `JOIN pgtenancy.servers s ON s.name = t.server ORDER BY t.id`
)

func (cat *Catalog) warmClaims(ctx context.Context, op, sql string, args ...any) ([]*Claim, error) {
	var found []warmClaim
	err := regdb.Retry(ctx, func() (err error) {
		rows, _ := cat.db.Pool.Query(ctx, sql, args...)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w warmClaim, err error) {
			err = row.Scan(w.fields()...)
			return w, err
		})
		return err
	})
	if err != nil {
		return nil, regdb.Redact(op, err)
	}
	claims := make([]*Claim, len(found))
	for i := range found { // the rows are free by now: a Sealer may ask a network
		claims[i] = found[i].claim(ctx, cat.db)
	}
	return claims, nil
}

// warmClaim is a row of warmColumns.
type warmClaim struct {
	Claim
	route regdb.Route
	whole bool
}

func (w *warmClaim) fields() []any {
	fields := append(w.route.Fields(), serverFields(&w.Tenant.Server)...)
	return append(fields, &w.Attempt, &w.Tenant.Step, &w.Owner, &w.Expires, &w.whole)
}

// claim returns the claim. The claim of a database to be dropped has no password: it is of no use any more.
func (w *warmClaim) claim(ctx context.Context, db *regdb.DB) *Claim {
	c := w.Claim
	c.stock = true
	t, signed := w.route.WithoutPassword(db)
	c.Tenant.Tenant, c.Tenant.Server.Unsigned = t, !signed
	c.Tenant.Attempt = c.Attempt
	switch {
	case w.whole:
		c.Tenant.State = tenancy.Deleting
	case w.route.State == "making":
		c.Tenant.State = tenancy.Provisioning
		var err error
		if c.Tenant.Endpoint.Password, err = db.OpenPassword(ctx, w.route.Sealed, c.Tenant.ID); err != nil {
			c.Tenant.State = tenancy.Failing
		}
	default:
		c.Tenant.State = tenancy.Failing
	}
	return &c
}
