package provision

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/scram"
	"github.com/pgtenancy/pgtenancy/internal/scratch"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// database makes the tenant's database, closed to all roles, or adopts the one that an earlier try made.
func (j *job) database(ctx context.Context) error {
	conn, err := j.session(ctx)
	if err != nil {
		return err
	}
	t := &j.claim.Tenant
	f, err := inspectTenant(ctx, conn, t.Endpoint)
	if err != nil {
		return err
	}
	j.seen = &f
	if j.p.foreign(f, t) {
		return ErrNotOurs
	}
	if f.broken {
		if err := pgadmin.DropDatabase(ctx, conn, t.Endpoint.Database); err != nil {
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
	f, err := inspectTenant(ctx, conn, t.Endpoint)
	if err == nil && !j.p.ownsDatabase(f, t) {
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
	p.setReady(server.Name, false) // the template was dropped by hand, or is not sound any more
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

// access makes the tenant's role, unless that is the shared one, lets it and no other role of tenants into the
// database, and then opens the database. It is one transaction: at no moment can a role of another tenant connect. The
// role owns nothing, so it can neither drop nor alter the database.
func (j *job) access(ctx context.Context) error {
	conn, err := j.session(ctx)
	if err != nil {
		return err
	}
	t := &j.claim.Tenant
	if j.seen == nil {
		f, err := inspectTenant(ctx, conn, t.Endpoint)
		if err != nil {
			return err
		}
		j.seen = &f
	}
	if j.p.foreignRole(*j.seen, t) {
		return ErrNotOurs
	}
	in := accessInput{
		database: pgadmin.Quote(t.Endpoint.Database),
		role:     pgadmin.Quote(t.Endpoint.User),
		group:    pgadmin.Quote(j.p.names.groupRole()),
		tag:      quotedTag(tenancy.OwnerTag{Tenant: t.ID, Epoch: t.Epoch}),
		limit:    max(j.p.cfg.TenantConnLimit, -1),
		roleIs:   j.seen.role,
		shared:   j.p.shares(t),
		major:    pgadmin.MajorVersion(conn),
	}
	if !in.shared {
		verifier, err := scram.Verifier(t.Endpoint.Password.Reveal())
		if err != nil {
			return err
		}
		in.verifier = "'" + verifier + "'"
	}
	sql := createAccessSQL(in)
	if err := pgadmin.RetryRaced(ctx, func() error { return pgadmin.Run(ctx, conn, sql) }); err != nil {
		return err
	}
	j.returnSession(ctx) // what follows can take long, and needs no lock
	return nil
}

// quotedTag is m as an SQL literal, for the comment on a tenant's database and role. The comment says whose they are,
// so that nothing else is dropped, and who may enter.
func quotedTag(m tenancy.OwnerTag) string { return "'" + m.String() + "'" }

type accessInput struct {
	database, role, group string // quoted
	verifier, tag         string // literals
	limit                 int    // of connections; -1: none
	roleIs                bool   // an earlier try made it
	shared                bool   // the role is to be used as it is
	major                 int    // version of the server
}

// asMember is how tenants' roles are members of the group: from PostgreSQL 16 on, they cannot act as the group itself.
func asMember(major int) string {
	if major < 16 {
		return ""
	}
	return " WITH INHERIT TRUE, SET FALSE"
}

func createAccessSQL(in accessInput) string {
	role := "CREATE ROLE $role LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS" +
		" CONNECTION LIMIT $limit PASSWORD $verifier;"
	if in.roleIs {
		role = "ALTER ROLE $role LOGIN CONNECTION LIMIT $limit PASSWORD $verifier;"
	}
	role += "GRANT $group TO $role" + asMember(in.major) + "; COMMENT ON ROLE $role IS $tag;"
	if in.shared {
		role = ""
	}
	return strings.NewReplacer(
		"$database", in.database, "$role", in.role, "$group", in.group, "$verifier", in.verifier, "$tag", in.tag,
		"$limit", strconv.Itoa(in.limit),
	).Replace(role + `
		REVOKE ALL ON DATABASE $database FROM PUBLIC;
		GRANT CONNECT ON DATABASE $database TO $role;
		COMMENT ON DATABASE $database IS $tag;
		ALTER DATABASE $database WITH ALLOW_CONNECTIONS true`)
}
