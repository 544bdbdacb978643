package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// floor writes by hand what a warm sign-up must write at least: the rows of the intent and of the activation in the
// registry, each in a transaction, and one row in one tenant's database, all through connections that are open, with
// statements that are prepared.
type floor struct {
	pool, tenants *pgxpool.Pool
	registry      *pgx.Conn
	tenant        *pgx.Conn
}

func (y *yard) newFloor(ctx context.Context) (*floor, error) {
	f := new(floor)
	var err error
	if f.pool, err = y.database(ctx); err != nil {
		return nil, err
	}
	if _, err = newRegistry(ctx, f.pool, y.server.Config()); err != nil {
		f.close()
		return nil, err
	}
	if f.tenants, err = y.database(ctx); err == nil {
		_, err = f.tenants.Exec(ctx, tables{}.sql())
	}
	if err == nil {
		f.registry, err = pgx.ConnectConfig(ctx, f.pool.Config().ConnConfig)
	}
	if err == nil {
		f.tenant, err = pgx.ConnectConfig(ctx, f.tenants.Config().ConnConfig)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *floor) close() {
	for _, conn := range []*pgx.Conn{f.registry, f.tenant} {
		if conn != nil {
			_ = conn.Close(context.Background())
		}
	}
	for _, pool := range []*pgxpool.Pool{f.pool, f.tenants} {
		if pool != nil {
			pool.Close()
		}
	}
}

// statement is one of a transaction.
type statement struct {
	sql  string
	args []any
}

// change is how both transactions end: the feed's row, the change, the notification.
func change(id string, epoch int) []statement {
	return []statement{
		{"UPDATE pgtenancy.feed SET version = version + 1 WHERE id = 1", nil},
		{
			"INSERT INTO pgtenancy.changes (version, tenant_id, epoch) SELECT version, $1, $2 FROM pgtenancy.feed",
			[]any{id, epoch},
		},
		{"SELECT pg_notify('pgtenancy_changes', '')", nil},
	}
}

// intent and activation write rows of the same size as the registry's; the sealed values are random here.
func intent(id, admin string) []statement {
	return append([]statement{
		{"UPDATE pgtenancy.servers SET tenants = tenants + 1 WHERE name = 'bench'", nil},
		{
			`INSERT INTO pgtenancy.tenants (id, state, epoch, server, database, role_name, password, schema_hash, attempt,
			claim_owner, claim_expires, step, request_hash)
			VALUES ($1, 'provisioning', 1, 'bench', $2, $2, $3, $4, 1, $5, now() + interval '6 seconds', 'seed', $6)`,
			[]any{id, "tenant_" + id, random(74), tables{}.Hash(), "host/1234/" + id, random(31)},
		},
		{
			`INSERT INTO pgtenancy.organizations (id, name, email, billing_customer) VALUES ($1, 'Bench', $2, '')`,
			[]any{id, random(50)},
		},
		{
			`INSERT INTO pgtenancy.admins (id, tenant_id, email, password_hash, role) VALUES ($1, $2, $3, $4, 'PRIMARY')`,
			[]any{admin, id, random(50), passwordHash},
		},
		{
			`INSERT INTO pgtenancy.admin_email_index (admin_id, kid, bidx, tenant_id) VALUES ($1, 1, $2, $3)`,
			[]any{admin, random(32), id},
		},
	}, change(id, 1)...)
}

func activation(id string) []statement {
	return append([]statement{{`UPDATE pgtenancy.tenants SET state = 'active', epoch = epoch + 1, data = NULL,
		claim_owner = '', claim_expires = now(), activated_at = now(), updated_at = now() WHERE id = $1`, []any{id}}},
		change(id, 2)...)
}

func (f *floor) batched(ctx context.Context) error {
	return f.signUp(ctx, func(statements []statement) error {
		b := new(pgx.Batch)
		for _, st := range statements {
			b.Queue(st.sql, st.args...)
		}
		return f.registry.SendBatch(ctx, b).Close() // one transaction
	})
}

func (f *floor) stepwise(ctx context.Context) error {
	return f.signUp(ctx, func(statements []statement) error {
		return pgx.BeginFunc(ctx, f.registry, func(tx pgx.Tx) error {
			for _, st := range statements {
				if _, err := tx.Exec(ctx, st.sql, st.args...); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func (f *floor) signUp(ctx context.Context, transaction func([]statement) error) error {
	id, admin := newID(), newID()
	if err := transaction(intent(id, admin)); err != nil {
		return err
	}
	_, err := f.tenant.Exec(ctx, insertAdmin, admin, fmt.Sprintf("%s@example.com", admin), "Ann", "Example", "PRIMARY",
		passwordHash)
	if err != nil {
		return err
	}
	return transaction(activation(id))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// newID is as long as a CUID2.
func newID() string { return strings.ToLower(rand.Text()[:24]) }
