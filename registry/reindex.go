package registry

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
)

// unindexed is an admin without a row of the blind index under some key.
type unindexed struct {
	admin  string
	sealed []byte // the e-mail
}

// index writes the rows of the blind index that are missing under the key with the given id.
func (k *rekeying) index(ctx context.Context, kid int16) error {
	const sql = `SELECT a.id, a.email FROM pgtenancy.admins a
		WHERE a.id > $1 AND NOT EXISTS (
			SELECT 1 FROM pgtenancy.admin_email_index i WHERE i.admin_id = a.id AND i.kid = $2)
		ORDER BY a.id LIMIT $3`
	var seen, written int64
	for after := ""; ; {
		var missing []unindexed
		if err := k.db.ForEach(ctx, "rekey: read admins", sql, func(row pgx.CollectableRow) error {
			var u unindexed
			missing = append(missing, u)
			last := &missing[len(missing)-1]
			return row.Scan(&last.admin, &last.sealed)
		}, after, kid, k.cfg.Batch); err != nil || len(missing) == 0 {
			return err
		}
		after = missing[len(missing)-1].admin
		n, err := k.indexAdmins(ctx, kid, missing)
		if err != nil {
			return err
		}
		seen, written = seen+int64(len(missing)), written+n
		k.result.Indexed += n
		k.progress("admin_email_index", "bidx", seen, written)
	}
}

// indexAdmins writes the rows of some admins, and returns how many it wrote.
func (k *rekeying) indexAdmins(ctx context.Context, kid int16, missing []unindexed) (int64, error) {
	// An admin deleted meanwhile gets none, nor does an e-mail that is another admin's.
	const sql = `INSERT INTO pgtenancy.admin_email_index (admin_id, kid, bidx, tenant_id, scope)
		SELECT a.id, $2, $3, a.tenant_id, coalesce(
			(SELECT min(i.scope) FROM pgtenancy.admin_email_index i WHERE i.admin_id = a.id),
			CASE WHEN $4::boolean THEN a.tenant_id ELSE '' END)
		FROM pgtenancy.admins a WHERE a.id = $1 FOR SHARE
		ON CONFLICT DO NOTHING`
	var b pgx.Batch
	var queued []string
	for _, u := range missing {
		email, err := decryptEmail(ctx, k.db, u.sealed, "admins", u.admin)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err != nil {
			k.result.Left++
			k.broken(ctx, "admins", u.admin, err)
			continue
		}
		for _, value := range k.db.EmailIndex(email.identity()) {
			if value.KeyID == kid {
				b.Queue(sql, u.admin, kid, value.Sum, k.db.SharedEmails)
				queued = append(queued, u.admin)
			}
		}
	}
	if b.Len() == 0 {
		return 0, nil
	}
	written, err := k.send(ctx, "rekey: index", &b)
	if err == nil && written < int64(b.Len()) {
		err = k.noteTaken(ctx, kid, queued)
	}
	return written, err
}

// noteTaken finds out whose rows could not be written.
func (k *rekeying) noteTaken(ctx context.Context, kid int16, admins []string) error {
	const sql = `SELECT a.id FROM pgtenancy.admins a WHERE a.id = ANY($1::text[]) AND NOT EXISTS (
		SELECT 1 FROM pgtenancy.admin_email_index i WHERE i.admin_id = a.id AND i.kid = $2) ORDER BY a.id`
	var taken []string
	err := k.db.ForEach(ctx, "rekey: read admins", sql, func(row pgx.CollectableRow) error {
		var id string
		err := row.Scan(&id)
		taken = append(taken, id)
		return err
	}, admins, kid)
	k.result.Taken = append(k.result.Taken, slices.Compact(taken)...)
	k.result.Left += int64(len(slices.Compact(taken)))
	return err
}

// signServers signs the addresses anew that are signed under another key of the ring than the current one.
func (k *rekeying) signServers(ctx context.Context) error {
	type row struct {
		Server
		mac string
	}
	var servers []row
	if err := k.db.ForEach(ctx, "rekey: read servers",
		`SELECT `+regdb.ServerColumns+`, s.address_mac FROM pgtenancy.servers s ORDER BY s.name`,
		func(scan pgx.CollectableRow) error {
			var s row
			err := scan.Scan(append(s.fields(), &s.mac)...)
			servers = append(servers, s)
			return err
		}); err != nil {
		return err
	}
	var signed int64
	for _, s := range servers {
		now := s.address().Sign(k.db.Keys)
		if !s.address().Signed(k.db.Keys, s.mac) {
			k.result.Left++
			k.broken(ctx, "servers", s.Name, &UnsignedServerError{Server: s.Name})
			continue
		}
		if now == s.mac {
			continue
		}
		written, err := k.db.Exec(ctx, "rekey: sign server", `UPDATE pgtenancy.servers SET address_mac = $3
			WHERE name = $1 AND address_mac = $2 AND host = $4 AND port = $5 AND pooled_host = $6 AND pooled_port = $7`,
			s.Name, s.mac, now, s.Host, s.Port, s.PooledHost, s.PooledPort)
		if err != nil {
			return err
		}
		if written {
			signed++
		} else {
			k.result.Left++ // changed meanwhile: the next pass looks at it again
		}
	}
	k.result.Resealed += signed
	k.progress("servers", "address_mac", int64(len(servers)), signed)
	return nil
}
