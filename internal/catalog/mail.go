package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

// Mail is a mail that is to be sent, of which the process that sends it finds out to whom. It prints its id and kind.
type Mail struct {
	ID      string
	Kind    string
	Data    []byte `json:"-"` // the caller's own; sealed at rest
	Attempt int64
}

// Format implements [fmt.Formatter].
func (m Mail) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "mail %s (%s)", m.ID, m.Kind) }

// PutMail writes a mail to be sent, in one statement that ctx governs.
func (cat *Catalog) PutMail(ctx context.Context, kind string, data []byte) error {
	insert, args, err := cat.insertMail(ctx, kind, data)
	if err == nil {
		_, err = cat.db.Exec(ctx, "put mail", insert, args...)
	}
	return err
}

// insertMail returns the statement that writes a mail.
func (cat *Catalog) insertMail(ctx context.Context, kind string, data []byte) (string, []any, error) {
	id := strings.ToLower(rand.Text())
	sealed, err := cat.db.Seal(ctx, data, "mails", id, "data")
	return `INSERT INTO pgtenancy.mails (id, kind, data) VALUES ($1, $2, $3)`, []any{id, kind, sealed}, err
}

// ClaimMails claims up to limit mails for ttl, oldest first; two processes never get the same one at once. After most
// attempts a mail is dropped. ctx governs the statements. A mail that does not open is not returned; its error is
// joined into the returned one.
func (cat *Catalog) ClaimMails(ctx context.Context, ttl time.Duration, most, limit int) ([]Mail, error) {
	if _, err := cat.db.Exec(ctx, "drop mails", `DELETE FROM pgtenancy.mails
		WHERE claim_expires <= now() AND attempt >= $1`, most); err != nil {
		return nil, err
	}
	const sql = `
WITH due AS MATERIALIZED (
	SELECT id FROM pgtenancy.mails WHERE claim_expires <= now()
	ORDER BY claim_expires, id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE pgtenancy.mails m SET attempt = attempt + 1, claim_expires = now() + $1::interval * (attempt + 1)
FROM due WHERE m.id = due.id RETURNING m.id, m.kind, m.data, m.attempt`
	var found []Mail
	err := regdb.Retry(ctx, func() (err error) {
		rows, _ := cat.db.Pool.Query(ctx, sql, ttl, limit)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Mail, err error) {
			return m, row.Scan(&m.ID, &m.Kind, &m.Data, &m.Attempt)
		})
		return err
	})
	if err != nil {
		return nil, regdb.Redact("claim mails", err)
	}
	var mails []Mail
	var errs []error
	for _, m := range found { // the rows are free by now: a Sealer may ask a network
		if m.Data, err = cat.db.Open(ctx, m.Data, "mails", m.ID, "data"); err != nil {
			errs = append(errs, err)
			continue
		}
		mails = append(mails, m)
	}
	return mails, errors.Join(errs...)
}

// EndMail deletes a mail that was sent, or is not to be. ctx governs the statement.
func (cat *Catalog) EndMail(ctx context.Context, id string) error {
	_, err := cat.db.Exec(ctx, "end mail", `DELETE FROM pgtenancy.mails WHERE id = $1`, id)
	return err
}
