package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"
)

// RekeyConfig configures [Registry.Rekey]. The zero value is fit for use.
type RekeyConfig struct {
	// Retire are the ids of index keys that no process has any more: their rows of the blind index are deleted. A key
	// of the Registry's own ring is refused.
	Retire []int16

	// Batch is how many rows are read, and rewritten in one transaction, at a time. Default: 100.
	Batch int

	// Progress is called after each batch, on Rekey's goroutine. It must not block. Default: none.
	Progress func(RekeyProgress)
}

// RekeyProgress is how far one column of one table has come.
type RekeyProgress struct {
	Table     string
	Column    string
	Rows      int64 // looked at, in this pass
	Rewritten int64 // of these
}

// RekeyResult counts the rows that [Registry.Rekey] wrote, and the remaining ones.
type RekeyResult struct {
	Indexed  int64 // rows written to the blind index
	Resealed int64 // values sealed, and addresses of servers signed, again
	Retired  int64 // rows of the blind index deleted

	// Left is how many rows a key of another id, or of none, still stands in: values that are not sealed under the
	// current key, admins who lack a row under a key of the ring, rows of the blind index under keys that are not in
	// the ring. While it is not zero no key may be taken away.
	Left int64

	// Broken is how many of Left are values that do not open and addresses of servers that are not signed; each is
	// logged with its table and row.
	Broken int64

	// Taken are admins whose e-mail stands under a key of the ring for another admin: processes whose rings had no key
	// in common have signed it up twice. Only a person can decide whose it is.
	Taken []string
}

// maxPasses bounds how often Rekey goes over the tables when others keep writing under old keys.
const maxPasses = 5

// Rekey brings every row to the keys of this Registry's ring: it writes the rows of the blind index that are missing,
// seals and signs again every value under another key than the current one, and deletes the index rows of
// keys that are retired. Sign-ups and sign-ins may go on meanwhile, in processes whose rings share an index key, and it
// may be stopped and called again. ctx governs all of it. Beside an error it returns the counts so far.
//
// docs/security.md has the order of steps that replaces a key.
func (r *Registry) Rekey(ctx context.Context, cfg RekeyConfig) (*RekeyResult, error) {
	k := &rekeying{Registry: r, cfg: cfg}
	k.cfg.Batch = cmp.Or(cfg.Batch, 100)
	var errs []error
	if cfg.Batch < 0 {
		errs = append(errs, errors.New("registry: RekeyConfig.Batch: must not be negative"))
	}
	for _, id := range cfg.Retire {
		if slices.Contains(r.db.Keys.IndexIDs(), id) {
			errs = append(errs, fmt.Errorf("registry: RekeyConfig.Retire: key %d is in the ring", id))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &k.result, k.run(ctx)
}

// rekeying is one call of Rekey.
type rekeying struct {
	*Registry
	cfg    RekeyConfig
	result RekeyResult
}

func (k *rekeying) run(ctx context.Context) error {
	for range maxPasses {
		before := k.result.Indexed + k.result.Resealed
		k.result.Left, k.result.Broken, k.result.Taken = 0, 0, nil
		for _, id := range k.db.Keys.IndexIDs() {
			if err := k.index(ctx, id); err != nil {
				return err
			}
		}
		for _, c := range sealedColumns() {
			if err := k.reseal(ctx, c); err != nil {
				return err
			}
		}
		if err := k.signServers(ctx); err != nil {
			return err
		}
		if k.result.Indexed+k.result.Resealed == before {
			break // no process has written under an old key since the last pass
		}
	}
	if k.result.Left == 0 { // else an e-mail might be found by nothing but a retired key
		if err := k.retire(ctx); err != nil {
			return err
		}
	}
	return k.countForeign(ctx)
}

// retire deletes the blind index's rows of retired keys, a batch at a time.
func (k *rekeying) retire(ctx context.Context) error {
	for _, id := range k.cfg.Retire {
		for more := true; more; {
			var deleted int64
			if err := k.db.QueryRow(ctx, "rekey: retire", `WITH gone AS (
					DELETE FROM pgtenancy.admin_email_index WHERE kid = $1 AND admin_id IN (
						SELECT admin_id FROM pgtenancy.admin_email_index WHERE kid = $1 LIMIT $2) RETURNING admin_id)
				SELECT count(*) FROM gone`, []any{id, k.cfg.Batch}, &deleted); err != nil {
				return err
			}
			k.result.Retired += deleted
			k.progress("admin_email_index", "bidx", deleted, deleted)
			more = deleted > 0
		}
	}
	return nil
}

// countForeign adds the rows of the blind index to Left that belong to no key of the ring.
func (k *rekeying) countForeign(ctx context.Context) error {
	own := k.db.Keys.IndexIDs()
	ids := make([]int64, len(own))
	for i, id := range own {
		ids[i] = int64(id)
	}
	var n int64
	err := k.db.QueryRow(ctx, "rekey: count", `SELECT count(*) FROM pgtenancy.admin_email_index
		WHERE kid <> ALL($1::bigint[])`, []any{ids}, &n)
	k.result.Left += n
	return err
}

func (k *rekeying) progress(table, column string, rows, rewritten int64) {
	if k.cfg.Progress != nil {
		k.cfg.Progress(RekeyProgress{Table: table, Column: column, Rows: rows, Rewritten: rewritten})
	}
}

func (k *rekeying) broken(ctx context.Context, table, row string, err error) {
	k.result.Broken++
	k.logger.LogAttrs(ctx, slog.LevelWarn, "registry: value does not open", slog.String("table", table),
		slog.String("row", row), slog.Any("error", err))
}

// send runs the statements of b in one transaction, again if it must, and returns how many of them touched a row.
func (k *rekeying) send(ctx context.Context, op string, b *pgx.Batch) (touched int64, err error) {
	err = k.db.InTx(ctx, op, func(tx pgx.Tx) error {
		touched = 0
		results := tx.SendBatch(ctx, b)
		for range b.Len() {
			tag, err := results.Exec()
			if err != nil {
				return errors.Join(err, results.Close())
			}
			touched += tag.RowsAffected()
		}
		return results.Close()
	})
	return touched, err
}
