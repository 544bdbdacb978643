package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/scratch"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// found is what the server knows of a tenant's names.
type found struct {
	database bool
	owner    string // of the database
	broken   bool   // a DROP DATABASE was interrupted: it can only be dropped again
	comment  string
	role     bool
	roleNote string // the role's comment
	enters   bool   // the role may connect to the database
}

func look(ctx context.Context, conn *pgx.Conn, e tenancy.Endpoint) (found, error) {
	var f found
	err := conn.QueryRow(ctx, `
		SELECT d.oid IS NOT NULL, coalesce(o.rolname, ''), coalesce(d.datconnlimit = -2, false),
		       coalesce(shobj_description(d.oid, 'pg_database'), ''),
		       r.oid IS NOT NULL, coalesce(shobj_description(r.oid, 'pg_authid'), ''),
		       coalesce(has_database_privilege(r.oid, d.oid, 'CONNECT'), false)
		FROM (SELECT $1::text AS database, $2::text AS role) n
		LEFT JOIN pg_database d ON d.datname = n.database
		LEFT JOIN pg_roles o ON o.oid = d.datdba
		LEFT JOIN pg_roles r ON r.rolname = n.role`, e.Database, e.User,
	).Scan(&f.database, &f.owner, &f.broken, &f.comment, &f.role, &f.roleNote, &f.enters)
	return f, err
}

// ownsDatabase reports whether the database was made for the tenant: it has our owner, which CREATE DATABASE gives it,
// and the tenant's mark or none, which it gets a moment later.
func (p *Provisioner) ownsDatabase(f found, id tenancy.ID) bool {
	m, ok := tenancy.ParseOwnerTag(f.comment)
	return f.owner == p.names.ownerRole() && (f.comment == "" || ok && m.Tenant == id)
}

// ownsRole reports whether the role was made for the tenant: it and its mark come in one transaction.
func ownsRole(f found, id tenancy.ID) bool {
	m, ok := tenancy.ParseOwnerTag(f.roleNote)
	return ok && m.Tenant == id
}

// foreign reports whether the database or the role that was found is another's.
func (p *Provisioner) foreign(f found, t *registry.Tenant) bool {
	return f.database && !p.ownsDatabase(f, t.ID) || p.foreignRole(f, t)
}

// examine looks at an active or suspended tenant's database before anything is changed. It calls check, and returns its
// error, if nothing there is another's; else [ErrNotOurs]. Of a tenant in another state it says nothing.
func (p *Provisioner) examine(ctx context.Context, id tenancy.ID,
	check func(ctx context.Context, conn *pgx.Conn, f found, t *registry.Tenant) error,
) error {
	t, err := p.catalog.TenantWithoutSecrets(ctx, id)
	if err != nil || t.State != tenancy.Active && t.State != tenancy.Suspended {
		return err
	}
	conn, err := p.session(ctx, t.Server)
	if err != nil {
		return err
	}
	defer disconnect(conn)
	f, err := look(ctx, conn, t.Endpoint)
	if err != nil {
		return err
	}
	if p.foreign(f, t) {
		return ErrNotOurs
	}
	return check(ctx, conn, f, t)
}

// database makes the tenant's database, closed to everybody, or adopts the one that an earlier try made.
func (j *job) database(ctx context.Context) error {
	conn, err := j.session(ctx)
	if err != nil {
		return err
	}
	t := &j.claim.Tenant
	f, err := look(ctx, conn, t.Endpoint)
	if err != nil {
		return err
	}
	j.seen = &f
	if j.p.foreign(f, t) {
		return ErrNotOurs
	}
	if f.broken {
		if err := dropDatabase(ctx, conn, t.Endpoint.Database, f); err != nil {
			return err
		}
		f.database = false
	}
	if f.database {
		return nil
	}
	return j.clone(ctx, conn, t)
}

// clone makes the database from the template. If an earlier try was another version's, the stamp is set first: if the
// process dies between the two there is no database, and if there is one, the stamp tells the truth.
func (j *job) clone(ctx context.Context, conn *pgx.Conn, t *registry.Tenant) error {
	if t.SchemaHash != j.p.hash {
		if err := j.p.catalog.ClaimSchemaHash(ctx, j.claim, j.p.hash); err != nil {
			return err
		}
	}
	err := j.p.clone(ctx, conn, t.Server, t.Endpoint.Database)
	if !pgerr.IsState(err, pgerr.DuplicateDatabase, pgerr.UniqueViolation) {
		return err
	}
	f, err := look(ctx, conn, t.Endpoint)
	if err == nil && !j.p.ownsDatabase(f, t.ID) {
		err = ErrNotOurs
	}
	return err
}

// clone makes a closed database from the template, which it makes too if it is not there.
func (p *Provisioner) clone(ctx context.Context, conn *pgx.Conn, server registry.Server, name string) error {
	if err := p.prepare(ctx, conn, server); err != nil {
		return err
	}
	err := p.createFromTemplate(ctx, conn, name)
	if !pgerr.IsState(err, pgerr.InvalidCatalogName, pgerr.UndefinedObject, pgerr.InternalError) {
		return err
	}
	p.setReady(server.Name, false) // somebody dropped what was there, or it is not sound any more
	if err := p.prepare(ctx, conn, server); err != nil {
		return err
	}
	return p.createFromTemplate(ctx, conn, name)
}

// createFromTemplate waits for sessions on the template to go: PostgreSQL itself does so for 5 s at each try.
func (p *Provisioner) createFromTemplate(ctx context.Context, conn *pgx.Conn, name string) error {
	const tries = 4
	for try := 1; ; try++ {
		err := scratch.Create(ctx, conn, name, p.names.template(p.hash), p.names.ownerRole())
		if try == tries || !pgerr.IsState(err, pgerr.ObjectInUse) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// dropDatabase drops the database that look found. The name may already be gone.
func dropDatabase(ctx context.Context, conn *pgx.Conn, name string, f found) error {
	if err := closeDatabase(ctx, conn, name, f); err != nil {
		return err
	}
	return dropClosed(ctx, conn, name)
}

// closeDatabase lets no new session in, so that DROP DATABASE ends the last ones. ALTER DATABASE on a database that is
// half dropped ends the session it runs on: do not close a database again after a DROP that failed.
func closeDatabase(ctx context.Context, conn *pgx.Conn, name string, f found) error {
	if !f.database || f.broken {
		return nil
	}
	err := run(ctx, conn, "ALTER DATABASE "+quote(name)+" WITH ALLOW_CONNECTIONS false")
	if err != nil && !pgerr.IsState(err, pgerr.InvalidCatalogName) {
		return fmt.Errorf("close database: %w", pgerr.Redact(err))
	}
	return nil
}

func dropClosed(ctx context.Context, conn *pgx.Conn, name string) error {
	if err := run(ctx, conn, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database: %w", pgerr.Redact(err))
	}
	return nil
}
