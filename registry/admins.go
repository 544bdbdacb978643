package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Admins returns the admins of a tenant, in the order in which they came; none if there is no such tenant. An admin
// whose e-mail does not open is listed without it, and its error is in the one returned, beside the admins. ctx governs
// the query.
func (r *Registry) Admins(ctx context.Context, id tenancy.ID) ([]Admin, error) {
	type row struct {
		Admin
		email []byte
	}
	var found []row
	op := fmt.Sprintf("admins of tenant %q", regdb.Shorten(string(id)))
	err := regdb.Retry(ctx, func() (err error) {
		rows, _ := r.db.Pool.Query(ctx, `SELECT `+adminColumns+` FROM pgtenancy.admins a
			WHERE a.tenant_id = $1 ORDER BY a.created_at, a.id`, id)
		found, err = pgx.CollectRows(rows, func(scan pgx.CollectableRow) (a row, err error) {
			return a, scan.Scan(&a.ID, &a.email, &a.PasswordHash, &a.Role)
		})
		return err
	})
	if err != nil {
		return nil, regdb.Redact(op, err)
	}
	admins := make([]Admin, len(found))
	var errs []error
	for i, a := range found { // the connection is back: a Sealer may ask a network
		admins[i] = a.Admin
		if admins[i].Email, err = decryptEmail(ctx, r.db, a.email, "admins", a.ID); err != nil {
			errs = append(errs, err)
		}
	}
	return admins, errors.Join(errs...)
}
