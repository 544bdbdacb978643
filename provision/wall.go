package provision

import (
	"context"
	"strconv"
	"strings"

	"github.com/pgtenancy/pgtenancy/internal/scram"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// wall makes the tenant's role, unless that is the shared one, and lets it, and nobody else, into the database; then
// opens it. It is one transaction: there is no moment in which a role of another tenant could connect. The role owns
// nothing, so it can neither drop nor alter the database.
func (j *job) wall(ctx context.Context) error {
	conn, err := j.session(ctx)
	if err != nil {
		return err
	}
	t := &j.claim.Tenant
	if j.seen == nil {
		f, err := look(ctx, conn, t.Endpoint)
		if err != nil {
			return err
		}
		j.seen = &f
	}
	if j.p.foreignRole(*j.seen, t) {
		return ErrNotOurs
	}
	in := wallInput{
		database: quote(t.Endpoint.Database),
		role:     quote(t.Endpoint.User),
		group:    quote(j.p.names.groupRole()),
		mark:     literal(tenancy.OwnerTag{Tenant: t.ID, Epoch: t.Epoch}),
		limit:    max(j.p.cfg.TenantConnLimit, -1),
		roleIs:   j.seen.role,
		shared:   j.p.shares(t.Endpoint),
		major:    majorVersion(conn),
	}
	if !in.shared {
		verifier, err := scram.Verifier(t.Endpoint.Password.Reveal())
		if err != nil {
			return err
		}
		in.verifier = "'" + verifier + "'"
	}
	sql := wallSQL(in)
	if err := retryRaced(ctx, func() error { return run(ctx, conn, sql) }); err != nil {
		return err
	}
	j.release(ctx) // what follows can take long, and needs no lock
	return nil
}

// literal is m as an SQL literal: the comment on a tenant's database and role. It says whose they are, so that nothing
// else is ever dropped, and who may enter.
func literal(m tenancy.OwnerTag) string { return "'" + m.String() + "'" }

type wallInput struct {
	database, role, group string // quoted
	verifier, mark        string // literals
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

func wallSQL(in wallInput) string {
	role := "CREATE ROLE $role LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS" +
		" CONNECTION LIMIT $limit PASSWORD $verifier;"
	if in.roleIs {
		role = "ALTER ROLE $role LOGIN CONNECTION LIMIT $limit PASSWORD $verifier;"
	}
	role += "GRANT $group TO $role" + asMember(in.major) + "; COMMENT ON ROLE $role IS $mark;"
	if in.shared {
		role = ""
	}
	return strings.NewReplacer(
		"$database", in.database, "$role", in.role, "$group", in.group, "$verifier", in.verifier, "$mark", in.mark,
		"$limit", strconv.Itoa(in.limit),
	).Replace(role + `
		REVOKE ALL ON DATABASE $database FROM PUBLIC;
		GRANT CONNECT ON DATABASE $database TO $role;
		COMMENT ON DATABASE $database IS $mark;
		ALTER DATABASE $database WITH ALLOW_CONNECTIONS true`)
}
