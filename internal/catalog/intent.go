package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// intent is a reservation under way: a transaction of two round trips. The first begins it and reads where the tenant
// may go, under locks; the second writes everything and commits.
type intent struct {
	db   *regdb.DB
	conn *pgx.Conn
	res  Reservation

	servers []registry.Server  // that the tenant may go to; locked
	warm    map[string]warmRow // by server: the warm database to be had there; locked
	known   *ReplayError       // what the idempotency key stands for; nil: nothing
	hash    []byte             // of the request made under that key, sealed
}

// warmRow is what a reservation takes over from a warm database.
type warmRow struct {
	id             tenancy.ID
	database, role string
	password       []byte // sealed
}

// withIntent begins an intent and calls f, again if it must. What f has not committed is rolled back. The error is
// redacted unless it is a refusal.
func (cat *Catalog) withIntent(ctx context.Context, res *Reservation, f func(in *intent) error) error {
	return regdb.Redact(fmt.Sprintf("reserve tenant %q", res.ID), regdb.Retry(ctx, func() error {
		return cat.db.Pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
			in := &intent{db: cat.db, conn: c.Conn(), res: *res, warm: map[string]warmRow{}}
			err := in.read(ctx)
			if err == nil {
				err = in.replayed(ctx)
			}
			if err == nil {
				err = f(in)
			}
			if in.conn.PgConn().TxStatus() != 'I' {
				_, _ = in.conn.Exec(ctx, "ROLLBACK") // if that fails, the pool drops the connection
			}
			return err
		})
	}))
}

// read is the first round trip. The servers stay locked until the transaction ends, so that sign-ups at the same moment
// do not overfill one. No more than one warm database is taken, but which server will be chosen is not known yet; and
// other reservations that want one of those wait for the servers anyway.
func (in *intent) read(ctx context.Context) error {
	b := new(pgx.Batch)
	b.BeginTx(pgx.TxOptions{})
	b.Queue(in.db.SetIdleTimeout())
	if in.res.IdempotencyKey != "" {
		b.Queue(`
			SELECT id, state, request_hash FROM (
				SELECT id, state, request_hash, now() AS at FROM pgtenancy.tenants
					WHERE idempotency_key = $1 AND NOT `+keyExpired+`
				UNION ALL SELECT id, 'failing', request_hash, retired_at FROM pgtenancy.retired_ids
					WHERE idempotency_key = $1 AND retired_at > now() - interval '24 hours'
			) known ORDER BY at DESC LIMIT 1`, in.res.IdempotencyKey).QueryRow(in.scanKnown)
	}
	b.Queue(`SELECT `+regdb.ServerColumns+`, s.address_mac FROM pgtenancy.servers s
		WHERE (s.state = 'open' OR $2::boolean) AND (s.name = $1::text OR $1::text = '')
		ORDER BY s.name FOR NO KEY UPDATE`, in.res.Server, in.res.Adopted,
	).Query(func(rows pgx.Rows) (err error) {
		in.servers, err = pgx.CollectRows(rows, in.scanServer)
		return err
	})
	if in.res.Warm != nil {
		b.Queue(`SELECT s.name, w.id, w.database, w.role_name, w.password FROM pgtenancy.servers s CROSS JOIN LATERAL (
				SELECT id, database, role_name, password FROM pgtenancy.warm_databases
				WHERE server = s.name AND schema_hash = $2 AND state = 'ready'
				ORDER BY (id = ANY($3::text[])) DESC, made_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
			) w WHERE s.state = 'open' AND (s.name = $1::text OR $1::text = '')`,
			in.res.Server, in.res.SchemaHash, texts(in.res.Warm.Prefer)).Query(in.scanWarm)
	}
	return in.conn.SendBatch(ctx, b).Close()
}

// keyExpired is the condition that a tenant's idempotency key means nothing any more.
const keyExpired = `coalesce(activated_at < now() - interval '24 hours', false)`

// texts makes ids fit for a parameter. Without a type from the server, as in the simple protocol, pgx takes no slice of
// a type that it does not know.
func texts(ids []tenancy.ID) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = string(id)
	}
	return list
}

// scanServer reads regdb.ServerColumns and address_mac.
func (in *intent) scanServer(row pgx.CollectableRow) (s registry.Server, err error) {
	var mac string
	err = row.Scan(append(serverFields(&s), &mac)...)
	s.Unsigned = !address(s).Signed(in.db.Keys, mac)
	return s, err
}

func address(s registry.Server) regdb.Address {
	return regdb.Address{Name: s.Name, Host: s.Host, Port: s.Port, PooledHost: s.PooledHost, PooledPort: s.PooledPort}
}

func (in *intent) scanKnown(row pgx.Row) error {
	var known ReplayError
	err := row.Scan(&known.TenantID, &known.State, &in.hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	in.known = &known
	return err
}

func (in *intent) scanWarm(rows pgx.Rows) error {
	var server string
	var w warmRow
	_, err := pgx.ForEachRow(rows, []any{&server, &w.id, &w.database, &w.role, &w.password}, func() error {
		in.warm[server] = w
		return nil
	})
	return err
}

// replayed refuses a reservation whose idempotency key is known.
func (in *intent) replayed(ctx context.Context) error {
	if in.known == nil {
		return nil
	}
	hash, err := in.db.Open(ctx, in.hash, "tenants", string(in.known.TenantID), "request_hash")
	switch {
	case err != nil:
		return regdb.Refuse(err)
	case !bytes.Equal(hash, in.res.RequestHash):
		return regdb.Refuse(registry.ErrKeyReused)
	}
	return regdb.Refuse(in.known)
}

// write is the second round trip.
func (in *intent) write(ctx context.Context) (*Claim, error) {
	server, err := choose(in.servers, &in.res)
	if err != nil {
		return nil, regdb.Refuse(err)
	}
	b := new(pgx.Batch)
	b.Queue(`UPDATE pgtenancy.servers SET tenants = tenants + 1 WHERE name = $1`, server.Name)
	server.Tenants++
	if in.res.IdempotencyKey != "" {
		b.Queue(`UPDATE pgtenancy.tenants SET idempotency_key = NULL, request_hash = NULL
			WHERE idempotency_key = $1::text AND `+keyExpired, in.res.IdempotencyKey)
	}
	sealed := in.takeWarm(ctx, b, server.Name)
	c := in.claim(server)
	c.Warm = sealed != nil
	if err := errors.Join(
		in.insertTenant(ctx, b, c, sealed),
		in.insertOrganization(ctx, b, in.res.ID, in.res.Organization),
		in.insertAdmin(ctx, b),
	); err != nil {
		return nil, regdb.Refuse(err)
	}
	if len(in.res.Aliases) > 0 {
		b.Queue(regdb.AddAliases, in.res.ID, in.res.Aliases)
	}
	b.Queue(`WITH changed AS (SELECT id, epoch FROM pgtenancy.tenants WHERE id = $1)`+regdb.Publish, in.res.ID)
	b.Queue(`COMMIT`)
	err = in.conn.SendBatch(ctx, b).Close()
	if pgerr.IsState(err, pgerr.DivisionByZero) {
		err = regdb.Refuse(fmt.Errorf("%w: %q", registry.ErrIDTaken, in.res.ID))
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// takeWarm gives the reservation the id, the names and the password of the warm database on server, if there is one,
// and returns the password as it is sealed.
func (in *intent) takeWarm(ctx context.Context, b *pgx.Batch, server string) (sealed []byte) {
	w, ok := in.warm[server]
	if !ok {
		return nil
	}
	password, err := in.db.OpenPassword(ctx, w.password, w.id)
	if err != nil { // it is of no use to anybody; a clone does as well
		b.Queue(`UPDATE pgtenancy.warm_databases SET state = 'retiring' WHERE id = $1`, w.id)
		return nil
	}
	b.Queue(`DELETE FROM pgtenancy.warm_databases WHERE id = $1`, w.id)
	in.res.ID, in.res.Database, in.res.Role, in.res.Password = w.id, w.database, w.role, password
	in.res.Step = in.res.Warm.Step
	return w.password
}

// claim is what the rows will say.
func (in *intent) claim(server registry.Server) *Claim {
	res := &in.res
	t := registry.Tenant{
		Tenant: tenancy.Tenant{
			ID: res.ID, State: tenancy.Provisioning, Epoch: 1, SchemaHash: res.SchemaHash, Endpoint: address(server).Endpoint(),
		},
		Server: server, Organization: res.Organization, Labels: res.Labels, Adopted: res.Adopted,
		SharedRole: res.SharedRole, Attempt: 1, Step: res.Step,
	}
	t.Endpoint.Database, t.Endpoint.User, t.Endpoint.Password = res.Database, res.Role, res.Password
	if at := &t.Organization.TrialEndsAt; !at.IsZero() {
		*at = at.Truncate(time.Microsecond) // all that PostgreSQL keeps
	}
	return &Claim{
		Tenant: t, Admin: res.Admin, Data: res.Data, Owner: res.Owner, Attempt: 1, KeepDatabase: res.Adopted,
		Before: res.Before,
	}
}

func (in *intent) insertAdmin(ctx context.Context, b *pgx.Batch) error {
	if !in.res.hasAdmin() {
		return nil
	}
	return insertAdmin(ctx, in.db, b, in.res.ID, in.res.Admin)
}

// insertTenant writes the tenant's row. password is that of a warm database, sealed; nil: there is none.
func (in *intent) insertTenant(ctx context.Context, b *pgx.Batch, c *Claim, password []byte) error {
	const insert = `
INSERT INTO pgtenancy.tenants (id, state, epoch, server, database, role_name, password, schema_hash, data,
	attempt, claim_owner, claim_expires, step, idempotency_key, request_hash, labels,
	adopted, keep_database, role_shared, before)
VALUES ($1, 'provisioning', 1, $2, $3, $4, $5, $6, $7, 1, $8, now() + $9::interval, $10, $11, $12, $13::text::jsonb,
	$14, $14, $15, $16)
RETURNING created_at, claim_expires`
	res, row := &in.res, string(in.res.ID)
	var data, before []byte
	var err error
	if res.Before != nil {
		if before, err = in.db.Seal(ctx, res.Before, "tenants", row, "before"); err != nil {
			return err
		}
	}
	if res.Data != nil {
		if data, err = in.db.Seal(ctx, res.Data, "tenants", row, "data"); err != nil {
			return err
		}
	}
	hash, err := in.db.Seal(ctx, res.RequestHash, "tenants", row, "request_hash")
	if err != nil {
		return err
	}
	if password == nil {
		if password, err = in.db.Seal(ctx, []byte(res.Password.Reveal()), "tenants", row, "password"); err != nil {
			return err
		}
	}
	b.Queue(insert, res.ID, c.Tenant.Server.Name, res.Database, res.Role, password, res.SchemaHash, data, res.Owner,
		res.TTL, res.Step, nullable(res.IdempotencyKey), hash, regdb.Labels(res.Labels),
		res.Adopted, res.SharedRole, before,
	).QueryRow(func(row pgx.Row) error { return row.Scan(&c.Tenant.CreatedAt, &c.Expires) })
	// After the insert: it waits for a Forget of this id that is under way, whose mark is then there to be seen. An id
	// that was used is an error of the statement, so that nothing is committed.
	b.Queue(`SELECT 1 / CASE WHEN EXISTS (SELECT 1 FROM pgtenancy.retired_ids WHERE id = $1)
		OR EXISTS (SELECT 1 FROM pgtenancy.warm_databases WHERE id = $1) THEN 0 ELSE 1 END`, res.ID)
	return nil
}
