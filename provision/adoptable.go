package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/scram"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// adoptable is what a server says of a database that is to be adopted, and of its role.
type adoptable struct {
	catalogState
	template, closed bool
	ownerRules       bool     // the owner is a superuser, and the administrator is not
	public           []string // what PUBLIC may do with the database
	roleRules        bool     // the role is a superuser
	roleLogsIn       bool
	roleLimit        int
	owners           []string // of the database and of what is in it: the administrator must be a member
}

// appraise looks at a database and the role of the tenant that is to adopt it, and changes nothing.
func (p *Provisioner) appraise(ctx context.Context, conn *pgx.Conn, t *registry.Tenant) (*adoptable, error) {
	var a adoptable
	var err error
	if a.catalogState, err = inspectTenant(ctx, conn, t.Endpoint); err != nil {
		return nil, err
	}
	err = conn.QueryRow(ctx, `
		SELECT coalesce(d.datistemplate, false), coalesce(NOT d.datallowconn, false),
			coalesce(o.rolsuper AND NOT u.rolsuper, false),
			ARRAY(SELECT x.privilege_type FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x
				WHERE x.grantee = 0 ORDER BY 1)::text[],
			coalesce(r.rolsuper, false), coalesce(r.rolcanlogin, false), coalesce(r.rolconnlimit, -1)::int
		FROM (SELECT $1::text AS database, $2::text AS role) n
		JOIN pg_roles u ON u.rolname = current_user
		LEFT JOIN pg_database d ON d.datname = n.database
		LEFT JOIN pg_roles o ON o.oid = d.datdba
		LEFT JOIN pg_roles r ON r.rolname = n.role`, t.Endpoint.Database, t.Endpoint.User,
	).Scan(&a.template, &a.closed, &a.ownerRules, &a.public, &a.roleRules, &a.roleLogsIn, &a.roleLimit)
	if err != nil {
		return nil, err
	}
	if err := p.mayAdopt(&a, t); err != nil {
		return nil, err
	}
	if a.owners, err = p.ownersIn(ctx, t); err != nil {
		return nil, err
	}
	if !slices.Contains(a.owners, a.owner) && !a.ownerRules {
		a.owners = append(a.owners, a.owner)
	}
	return &a, p.logIn(ctx, t)
}

// mayAdopt says what is against it.
func (p *Provisioner) mayAdopt(a *adoptable, t *registry.Tenant) error {
	tag, tagged := tenancy.ParseOwnerTag(a.comment)
	roleTag, roleTagged := tenancy.ParseOwnerTag(a.roleNote)
	kept := t.SharedRole || p.keepsRole(t)
	var errs []error
	refuse := func(wrong bool, reason string) {
		if wrong {
			errs = append(errs, &AdoptError{Reason: reason})
		}
	}
	refuse(!a.database, "the database does not exist")
	refuse(a.template, "the database is a template")
	refuse(a.closed || a.broken, "the database takes no connections")
	refuse(a.ownerRules, "the database's owner is a superuser and Config.Admin is not: give it to another role, or adopt it "+
		"as a superuser")
	refuse(kept && !a.role, "the role does not exist")
	refuse(kept && a.roleRules, "the role is a superuser: nothing would keep it in its database")
	refuse(t.SharedRole && !a.roleLogsIn, "the role cannot log in")
	if tagged && tag.Tenant != t.ID || !p.shares(t) && roleTagged && roleTag.Tenant != t.ID ||
		!kept && !p.shares(t) && a.role && !roleTagged {
		errs = append(errs, ErrNotOurs)
	}
	return errors.Join(errs...)
}

// ownersIn returns the roles that own what is in t's database, but superusers and the administrator itself.
func (p *Provisioner) ownersIn(ctx context.Context, t *registry.Tenant) ([]string, error) {
	conn, err := p.sessionIn(ctx, t.Server, t.Endpoint.Database)
	if err != nil {
		return nil, err
	}
	defer pgadmin.Disconnect(conn)
	rows, _ := conn.Query(ctx, `
		SELECT DISTINCT r.rolname::text FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
		WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.deptype = 'o'
			AND s.refclassid = 'pg_authid'::regclass AND NOT r.rolsuper AND r.rolname <> current_user ORDER BY 1`)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// logIn logs in as the role that is to be kept, if its password is given.
func (p *Provisioner) logIn(ctx context.Context, t *registry.Tenant) error {
	if t.Endpoint.Password.IsZero() || !p.keepsRole(t) {
		return nil
	}
	cfg, err := p.config(ctx, t.Server, t.Endpoint.Database)
	if err != nil {
		return err
	}
	cfg.User, cfg.Password = t.Endpoint.User, t.Endpoint.Password.Reveal()
	conn, err := pgadmin.Connect(ctx, pgadmin.Pinned(cfg))
	if err != nil {
		return fmt.Errorf("log in as role %q: %w", t.Endpoint.User, pgerr.Redact(err))
	}
	pgadmin.Disconnect(conn)
	return nil
}

// beforeAdoption is what a release puts back; it is kept in the registry as JSON.
type beforeAdoption struct {
	Comment   string   `json:"comment,omitempty"`   // on the database
	Public    []string `json:"public,omitempty"`    // what PUBLIC may do with it
	RoleNote  string   `json:"roleNote,omitempty"`  // the comment on the role
	RoleLimit int      `json:"roleLimit,omitempty"` // its CONNECTION LIMIT
	Others    []string `json:"others,omitempty"`    // AdoptRequest.OtherRoles
}

// before describes a, for a release.
func (a *adoptable) before(others []string) ([]byte, error) {
	return json.Marshal(beforeAdoption{
		Comment: a.comment, Public: a.public, RoleNote: a.roleNote, RoleLimit: a.roleLimit, Others: others,
	})
}

// othersIn returns AdoptRequest.OtherRoles as before has them.
func othersIn(before []byte) ([]string, error) {
	was, err := parseBefore(before)
	return was.Others, err
}

// parseBefore returns what before says. Where it is lost, PUBLIC gets nothing back.
func parseBefore(before []byte) (was beforeAdoption, err error) {
	was.RoleLimit = -1
	if before == nil {
		return was, nil
	}
	if err = json.Unmarshal(before, &was); err != nil {
		err = errors.New("what was there before the adoption: malformed")
	}
	return was, err
}

// adoptionSQL returns the statements, one transaction, that make the database and the role the tenant's.
func (p *Provisioner) adoptionSQL(
	ctx context.Context, conn *pgx.Conn, t *registry.Tenant, a *adoptable, others []string,
) ([]string, error) {
	database, role := pgadmin.Quote(t.Endpoint.Database), pgadmin.Quote(t.Endpoint.User)
	tag := quotedTag(tenancy.OwnerTag{Tenant: t.ID, Epoch: t.Epoch})
	connect := "GRANT CONNECT ON DATABASE " + database + " TO CURRENT_USER"
	for _, other := range others {
		connect += ", " + pgadmin.Quote(other)
	}
	if !p.keepsRole(t) && !p.shares(t) {
		verifier, err := scram.Verifier(t.Endpoint.Password.Reveal())
		if err != nil {
			return nil, err
		}
		return []string{connect, strings.TrimSpace(createAccessSQL(accessInput{
			database: database, role: role, group: pgadmin.Quote(p.names.groupRole()), verifier: "'" + verifier + "'",
			tag: tag, limit: max(p.cfg.TenantConnLimit, -1), roleIs: a.role, major: pgadmin.MajorVersion(conn),
		}))}, nil
	}
	statements := []string{connect + ", " + role, "COMMENT ON DATABASE " + database + " IS " + tag}
	own := ""
	if !p.shares(t) {
		own = t.Endpoint.User
		statements = append(statements, "COMMENT ON ROLE "+role+" IS "+tag)
	}
	repairs, err := p.repairsOf(ctx, conn, t.Endpoint.Database, own)
	for _, sql := range repairs {
		if !strings.HasPrefix(sql, "COMMENT") { // that is above
			statements = append(statements, sql)
		}
	}
	return statements, err
}

func transaction(statements []string) string { return strings.Join(statements, ";\n") }

var verifierPattern = regexp.MustCompile(`SCRAM-SHA-256\$[^']*`)

// withoutSecrets returns the statements without the verifiers of passwords in them.
func withoutSecrets(statements []string) []string {
	shown := make([]string, len(statements))
	for i, sql := range statements {
		shown[i] = verifierPattern.ReplaceAllString(sql, "[redacted]")
	}
	return shown
}

// withoutGrants leaves out of a difference what an adoption changes: what tenants' roles may do, and who may do what in
// schema public.
func (p *Provisioner) withoutGrants(diff []string) (rest []string) {
	to := " to " + p.names.groupRole() + ":"
	for _, line := range diff {
		if !strings.Contains(line, to) && !strings.Contains(line, " grant schema public to ") {
			rest = append(rest, line)
		}
	}
	return rest
}
