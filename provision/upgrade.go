package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pglock"
	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Upgrade brings one tenant's database to the configured schema and stamps its version in the registry. A stamp is
// given only if the database's fingerprint, taken before the commit, equals that of a database made from the template.
// A tenant that has the stamp already costs one query of the registry, unless policy.Force is set.
//
// ctx governs all of it. Concurrent upgrades of one tenant run one at a time; if the process that holds the upgrade
// lock is paused, Upgrade waits for it until ctx ends. It returns tenancy.ErrNotFound, a *tenancy.StateError for a
// tenant that is neither active nor suspended, *[DestructiveError], *[SchemaMismatchError], [ErrNotVerified],
// [ErrTenantObjects], [ErrNotOurs], registry.ErrConflict if another call stamped the tenant meanwhile, or the server's
// error. In each case the tenant keeps its schema and its stamp. If the Schema commits in steps, what was committed
// stays, and the tenant has no stamp until an upgrade ends well.
//
// Upgrade makes processes that follow the registry renew their connections to the tenant's database, before the commit
// and with the stamp: what these remember of the schema (prepared statements, the numbers of types) is out of date.
// Nothing that runs is cut. A connection that is leased across the commit may fail once for each statement that it
// remembers (SQLSTATE 0A000 or XX000); docs/connections.md has the rest.
func (p *Provisioner) Upgrade(ctx context.Context, id tenancy.ID, policy Policy) (*Report, error) {
	report, err := p.upgrade(ctx, id, policy.withDefaults())
	if err != nil {
		return report, fmt.Errorf("provision: upgrade tenant %q: %w", string(id), pgerr.Redact(err))
	}
	return report, nil
}

func (p *Provisioner) upgrade(ctx context.Context, id tenancy.ID, policy Policy) (*Report, error) {
	t, err := p.upgradable(ctx, id)
	if err != nil || t.SchemaHash == p.hash && !policy.Force {
		return &Report{}, err
	}
	conn, err := p.session(ctx, t.Server)
	if err != nil {
		return nil, err
	}
	defer pgadmin.Disconnect(conn)
	if err := pglock.Lock(ctx, conn, "upgrade "+t.Endpoint.Database); err != nil {
		return nil, err
	}
	t, err = p.upgradable(ctx, id) // while this one waited, another may have done it
	if err != nil || t.SchemaHash == p.hash && !policy.Force {
		return &Report{}, err
	}
	f, err := inspectTenant(ctx, conn, t.Endpoint)
	if err != nil {
		return nil, err
	}
	if p.foreign(f, t) {
		return nil, ErrNotOurs
	}
	if err := p.secure(ctx, t, policy.DryRun); err != nil {
		return nil, err
	}
	var report *Report
	err = p.withModel(ctx, conn, t.Server, func(model *pgx.ConnConfig) error {
		report, err = p.apply(ctx, t, model, policy)
		return err
	})
	if err != nil || policy.DryRun {
		return report, err
	}
	return report, p.stamp(ctx, t, p.hash)
}

// stamp replaces the stamp that t was read with. Of two upgrades that each believe to hold the lock, since the session
// of one was lost, only the first to come to its end gives a stamp.
func (p *Provisioner) stamp(ctx context.Context, t *registry.Tenant, hash string) error {
	err := p.catalog.SetSchemaHash(ctx, t.ID, t.SchemaHash, hash)
	if err == nil {
		t.SchemaHash = hash
	}
	return err
}

func (p *Provisioner) upgradable(ctx context.Context, id tenancy.ID) (*registry.Tenant, error) {
	t, err := p.cfg.Registry.Tenant(ctx, id)
	if err != nil {
		return nil, err
	}
	if t.State != tenancy.Active && t.State != tenancy.Suspended {
		return nil, &tenancy.StateError{ID: t.ID, State: t.State}
	}
	return t, nil
}

// apply lets the Schema work on the tenant's database, and sees to it that it verifies.
func (p *Provisioner) apply(ctx context.Context, t *registry.Tenant, model *pgx.ConnConfig, policy Policy) (*Report,
	error,
) {
	want, err := fingerprintOf(ctx, model)
	if err != nil {
		return nil, err
	}
	target, err := p.config(ctx, t.Server, t.Endpoint.Database)
	if err != nil {
		return nil, err
	}
	if !policy.DryRun {
		if err := pgadmin.Regrant(ctx, target, model, p.names.groupRole()); err != nil {
			return nil, fmt.Errorf("grant the tenants' role its privileges again: %w", pgerr.Redact(err))
		}
	}
	verified := false
	u := UpgradeInput{
		Target: target,
		Model:  model.Copy(),
		Policy: policy,
		Verify: func(ctx context.Context, conn *pgx.Conn) error {
			if err := pgadmin.Withhold(ctx, conn, p.names.groupRole()); err != nil {
				return err
			}
			got, err := fingerprint.Take(ctx, conn)
			if err != nil {
				return err
			}
			if diff := got.Diff(want); diff != nil {
				return &SchemaMismatchError{Diff: diff}
			}
			verified = true
			// Routers hear of it now, while the changed tables are locked: a connection that is made from here on waits
			// for the commit before it can describe them. The stamp tells once more, for what was in use meanwhile.
			ctx, cancel := context.WithTimeout(ctx, policy.LockTimeout)
			defer cancel()
			return p.cfg.Registry.RenewConnections(ctx, t.ID)
		},
		Unstamp: func(ctx context.Context) error { return p.stamp(ctx, t, "") },
	}
	var report *Report
	err = guard(func() error {
		report, err = p.cfg.Schema.Upgrade(ctx, u)
		return err
	})
	if err == nil && !verified && !policy.DryRun {
		err = ErrNotVerified
	}
	return report, err
}

func fingerprintOf(ctx context.Context, cfg *pgx.ConnConfig) (*fingerprint.Fingerprint, error) {
	conn, err := pgadmin.Connect(ctx, pgadmin.Pinned(cfg))
	if err != nil {
		return nil, err
	}
	defer pgadmin.Disconnect(conn)
	return fingerprint.Take(ctx, conn)
}

// withModel calls f with a scratch database that was made from the template, and drops it.
func (p *Provisioner) withModel(ctx context.Context, conn *pgx.Conn, server registry.Server,
	f func(model *pgx.ConnConfig) error,
) error {
	return p.withScratch(ctx, conn, server, func(name string) error { return p.clone(ctx, conn, server, name) }, f)
}

// secure makes sure that an upgrade of t meets no object of the tenant: a statement that relies on the default
// search_path, as in a schema's files, would call a tenant's functions as the administrator. With dryRun it only looks.
func (p *Provisioner) secure(ctx context.Context, t *registry.Tenant, dryRun bool) error {
	conn, err := p.sessionIn(ctx, t.Server, t.Endpoint.Database)
	if err != nil {
		return err
	}
	defer pgadmin.Disconnect(conn)
	roles, keeps := p.tenantRoles(), p.shares(t) || p.keepsRole(t)
	if !keeps {
		roles = append(roles, t.Endpoint.User)
	}
	if !dryRun {
		if err := pgadmin.ClosePublic(ctx, conn, roles...); err != nil {
			return err
		}
	}
	if keeps {
		return nil // the schema may give its objects to the operator's role; that of an adopted tenant has them
	}
	return checkMade(ctx, conn, t.Endpoint.User)
}

// checkMade returns ErrTenantObjects if role owns something in conn's database that a name finds: nothing temporary, no
// large object, no default privileges.
func checkMade(ctx context.Context, conn *pgx.Conn, role string) error {
	const most = 5
	rows, _ := conn.Query(ctx, `
		SELECT pg_describe_object(s.classid, s.objid, s.objsubid)
		FROM pg_shdepend s, pg_identify_object(s.classid, s.objid, s.objsubid) i
		WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.deptype = 'o'
		  AND s.refclassid = 'pg_authid'::regclass AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1::text)
		  AND s.classid NOT IN ('pg_largeobject'::regclass, 'pg_default_acl'::regclass)
		  AND coalesce(i.schema, '') !~ '^pg_(toast_)?temp'
		ORDER BY 1 LIMIT $2::int`, role, most)
	made, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(made) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", ErrTenantObjects, strings.Join(made, ", "))
}
