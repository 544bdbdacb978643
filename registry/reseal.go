package registry

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// sealedColumn is a column of sealed values, each bound to a table, the column and its row.
type sealedColumn struct {
	table, column string
	key           []string // the table's primary key; joined by a slash it is the row that values are bound to
	home          string   // the table that they are bound to; default: table
}

func (c sealedColumn) boundTo() string { return cmp.Or(c.home, c.table) }

// sealedColumns are all there are. Values move from warm databases to tenants and on to retired ids, and so does the
// order: a row that moves on unseen is met again.
func sealedColumns() []sealedColumn {
	return []sealedColumn{
		{table: "warm_databases", column: "password", key: []string{"id"}, home: "tenants"},
		{table: "tenants", column: "password", key: []string{"id"}},
		{table: "tenants", column: "data", key: []string{"id"}},
		{table: "tenants", column: "attributes", key: []string{"id"}},
		{table: "tenants", column: "before", key: []string{"id"}},
		{table: "tenants", column: "request_hash", key: []string{"id"}},
		{table: "retired_ids", column: "request_hash", key: []string{"id"}, home: "tenants"},
		{table: "organizations", column: "email", key: []string{"id"}},
		{table: "admins", column: "email", key: []string{"id"}},
		{table: "sessions", column: "secret", key: []string{"id"}},
		{table: "sessions", column: "client", key: []string{"id"}},
		{table: "steps", column: "result", key: []string{"tenant_id", "name"}},
		{table: "events", column: "client", key: []string{"id"}},
		{table: "admin_changes", column: "data", key: []string{"admin_id"}},
		{table: "tokens", column: "data", key: []string{"id"}},
		{table: "mails", column: "data", key: []string{"id"}},
		{table: "factors", column: "secret", key: []string{"admin_id"}},
	}
}

// page returns the statement that reads rows after a key, in its order.
func (c sealedColumn) page() string {
	list, from := strings.Join(c.key, ", "), ""
	for i := range c.key {
		from += fmt.Sprintf(", $%d", i+1)
	}
	return fmt.Sprintf(`SELECT %[1]s, %[2]s FROM pgtenancy.%[3]s WHERE %[2]s IS NOT NULL AND (%[1]s) > (%[4]s)
		ORDER BY %[1]s LIMIT $%[5]d`, list, c.column, c.table, from[2:], len(c.key)+1)
}

// replace returns the statement that puts one value in place of another, if that is still there.
func (c sealedColumn) replace() string {
	where := ""
	for i, k := range c.key {
		where += fmt.Sprintf(" AND %s = $%d", k, i+3)
	}
	return fmt.Sprintf(`UPDATE pgtenancy.%s SET %s = $2 WHERE %[2]s = $1%s`, c.table, c.column, where)
}

// sealedRow is a value of a sealedColumn.
type sealedRow struct {
	key    []any
	sealed []byte
}

func (r sealedRow) name() string {
	parts := make([]string, len(r.key))
	for i, k := range r.key {
		parts[i], _ = k.(string)
	}
	return strings.Join(parts, "/")
}

// reseal goes over a column once. A value that changes meanwhile is left to the next pass.
func (k *rekeying) reseal(ctx context.Context, c sealedColumn) error {
	after := make([]any, len(c.key))
	for i := range after {
		after[i] = ""
	}
	var seen, rewritten int64
	for {
		rows, err := k.sealedRows(ctx, c, after)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].key
		stale, n, err := k.resealRows(ctx, c, rows)
		if err != nil {
			return err
		}
		seen, rewritten = seen+int64(len(rows)), rewritten+n
		k.result.Left += stale - n
		k.result.Resealed += n
		k.progress(c.table, c.column, seen, rewritten)
	}
}

func (k *rekeying) sealedRows(ctx context.Context, c sealedColumn, after []any) ([]sealedRow, error) {
	var found []sealedRow
	args := append(append([]any{}, after...), k.cfg.Batch)
	err := k.db.ForEach(ctx, "rekey: read "+c.table, c.page(), func(row pgx.CollectableRow) error {
		var r sealedRow
		keys := make([]string, len(c.key))
		into := make([]any, 0, len(keys)+1)
		for i := range keys {
			into = append(into, &keys[i])
		}
		if err := row.Scan(append(into, &r.sealed)...); err != nil {
			return err
		}
		for _, key := range keys {
			r.key = append(r.key, key)
		}
		found = append(found, r)
		return nil
	}, args...)
	return found, err
}

// resealRows returns how many of rows are not current, and how many of these it has sealed again.
func (k *rekeying) resealRows(ctx context.Context, c sealedColumn, rows []sealedRow) (
	stale, resealed int64, err error,
) {
	var b pgx.Batch
	for _, row := range rows {
		if k.db.Keys.Current(row.sealed) {
			continue
		}
		stale++
		plain, err := k.db.Open(ctx, row.sealed, c.boundTo(), row.name(), c.column)
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		if err != nil {
			k.broken(ctx, c.table, row.name(), err)
			continue
		}
		sealed, err := k.db.Seal(ctx, plain, c.boundTo(), row.name(), c.column)
		if err != nil {
			return 0, 0, err
		}
		b.Queue(c.replace(), append([]any{row.sealed, sealed}, row.key...)...)
	}
	if b.Len() > 0 {
		resealed, err = k.send(ctx, "rekey: reseal "+c.table, &b)
	}
	return stale, resealed, err
}
