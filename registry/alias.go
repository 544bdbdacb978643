package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

var _ tenancy.AliasDirectory = (*Registry)(nil)

// AddAlias gives a tenant, in any state, another name: an id of another service, a host name. An alias is text of 1 to
// [tenancy.MaxAliasLength] bytes in any spelling, compared byte by byte; bring a host name to its canonical spelling
// before. It belongs to one tenant, and is free again when that is gone.
//
// AddAlias returns [ErrAliasTaken] if another tenant has the alias, nil if this one has it, [ErrInvalidAlias], or
// [tenancy.ErrNotFound]. Every process that follows the registry forgets what it knew of the alias. ctx governs the
// transaction.
func (r *Registry) AddAlias(ctx context.Context, id tenancy.ID, alias string) error {
	if err := CheckAlias(alias); err != nil {
		return err
	}
	err := r.db.InTx(ctx, fmt.Sprintf("add alias of tenant %q", id), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, regdb.AddAliases, id, []string{alias})
		switch {
		case pgerr.Violated(err) == "aliases_pkey":
			return regdb.Refuse(ErrAliasTaken)
		case pgerr.IsState(err, pgerr.ForeignKeyViolation):
			return regdb.Refuse(regdb.NotFound(id))
		}
		return err
	})
	if errors.Is(err, ErrAliasTaken) {
		if owner, lookErr := r.LookupAlias(ctx, alias); lookErr == nil && owner == id {
			return nil
		}
	}
	return err
}

// RemoveAlias takes an alias from a tenant, and does nothing if the tenant does not have it. Every process that follows
// the registry forgets the alias. ctx governs the transaction.
func (r *Registry) RemoveAlias(ctx context.Context, id tenancy.ID, alias string) error {
	_, err := r.db.Exec(ctx, fmt.Sprintf("remove alias of tenant %q", id), regdb.RemoveAlias, id, alias)
	return err
}

// Aliases returns the aliases of a tenant, in order; none of a tenant that is not there. ctx governs the query.
func (r *Registry) Aliases(ctx context.Context, id tenancy.ID) ([]string, error) {
	rows, _ := r.db.Pool.Query(ctx, `SELECT alias FROM pgtenancy.aliases WHERE tenant_id = $1 ORDER BY alias`, id)
	aliases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return aliases, regdb.Redact(fmt.Sprintf("aliases of tenant %q", id), err)
}

// LookupAlias implements [tenancy.AliasDirectory] by one prepared query: it returns the tenant that has the alias, in
// any state, or an error that matches [tenancy.ErrNotFound]. ctx governs the query. A process that serves asks
// [tenancy.Resolver.ResolveAlias], which remembers the answer.
func (r *Registry) LookupAlias(ctx context.Context, alias string) (tenancy.ID, error) {
	if CheckAlias(alias) != nil {
		return "", tenancy.ErrNotFound
	}
	var id tenancy.ID
	err := r.db.QueryRow(ctx, "look up alias", `SELECT tenant_id FROM pgtenancy.aliases WHERE alias = $1`,
		[]any{alias}, &id)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", tenancy.ErrNotFound
	}
	return id, err
}

// CheckAlias returns [ErrInvalidAlias] for what no alias can be.
func CheckAlias(alias string) error {
	if alias == "" || len(alias) > tenancy.MaxAliasLength || !regdb.Storable(alias) {
		return ErrInvalidAlias
	}
	return nil
}
