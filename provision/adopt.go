package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nrednav/cuid2"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// AdoptRequest names a database that exists and is to be a tenant's. Server and Database are required.
type AdoptRequest struct {
	ID       tenancy.ID // default: a new CUID2
	Server   string     // the registry's name of the server where the database is, in any state
	Database string     // its name, whatever it is

	// Role is the login role that the application uses there. It stays what it is: the owner of its tables, say. From now
	// on it is kept as a tenant's role, with no attribute but LOGIN and with Config.TenantConnLimit. Default: Adopt makes
	// a role of the tenant's own, which has the privileges that new tenants' roles have, and no others are touched.
	Role string

	// Password is Role's. Adopt logs in with it before it changes anything. Default: what the resolvers' Base has.
	Password tenancy.Secret

	// SharedRole says that Role serves other databases too. It is left as it is, and keeps out nobody of those:
	// Config.SharedRole says what that costs.
	SharedRole bool

	// OtherRoles go on connecting to the database, beside Role and Admin: for reports, backups, exports. Every other role
	// is kept out, because PUBLIC may not connect any more. What is connected stays so.
	OtherRoles []string

	Organization registry.Organization
	Aliases      []string
	Labels       map[string]string
	Admin        registry.Admin // default: none; Seed and side effects are not called for it

	// DryRun has Adopt look, and change nothing on the server but to prepare the template, nor in the registry.
	DryRun bool
}

// Format implements [fmt.Formatter]: a request shows its database.
func (r AdoptRequest) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.text()) }

// LogValue implements [slog.LogValuer].
func (r AdoptRequest) LogValue() slog.Value { return slog.StringValue(r.text()) }

func (r AdoptRequest) text() string {
	return fmt.Sprintf("request to adopt database %q on server %q", r.Database, r.Server)
}

// AdoptResult is what an adoption found and did.
type AdoptResult struct {
	Tenant tenancy.Tenant // of a dry run: its ID and Endpoint, without the password

	// Changes are the statements that Adopt runs on the server, or would run. A password in one is left out.
	Changes []string

	// Drift is how the database's schema differs from Config.Schema, as SchemaMismatchError.Diff; nil: not at all. Then
	// the tenant is stamped with the schema's version, and else with none, so that [Provisioner.Upgrade] works on it.
	Drift []string
}

// Adopt makes a database that exists a tenant's, under the name that it has, with its owner and its data. It gives the
// database an owner tag, keeps other roles out, and writes the row. From then on Suspend, Resume, RotatePassword,
// Upgrade and Drop work on it as on any tenant's, and Run keeps its access as it should be. [Provisioner.Release] is
// the way back.
//
// Config.Admin must be a superuser, or able to become a member of the roles that own the database and what is in it.
//
// ctx governs all of it. Adopt looks first: an error before the row is written has changed nothing. When the process
// dies after that, Run completes the adoption, or takes it back as Release does; the database is never dropped. Adopt
// returns *[AdoptError] for a database or role that cannot be adopted, [ErrNotOurs] for a database or role with
// another tenant's tag, registry.ErrServerNotFound, ErrIDTaken, ErrAliasTaken and ErrEmailTaken, tenancy.ErrInvalidID,
// or the server's error.
func (p *Provisioner) Adopt(ctx context.Context, req AdoptRequest) (*AdoptResult, error) {
	if req.ID == "" {
		req.ID = tenancy.ID(cuid2.Generate())
	}
	result, err := p.adopt(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("provision: adopt database %q on server %q: %w", req.Database, req.Server, pgerr.Redact(err))
	}
	return result, nil
}

func (p *Provisioner) adopt(ctx context.Context, req AdoptRequest) (*AdoptResult, error) {
	if err := p.checkAdoption(req); err != nil {
		return nil, err
	}
	server, err := p.cfg.Registry.Server(ctx, req.Server)
	if err != nil {
		return nil, err
	}
	t := p.adoptee(req, server)
	conn, err := p.session(ctx, server)
	if err != nil {
		return nil, err
	}
	defer pgadmin.Disconnect(conn)
	found, err := p.appraise(ctx, conn, t)
	if err != nil {
		return nil, err
	}
	before, err := found.before(req.OtherRoles)
	if err != nil {
		return nil, err
	}
	if req.DryRun {
		return p.rehearseAdoption(ctx, conn, t, found, req.OtherRoles)
	}
	began := time.Now()
	claim, err := p.intend(ctx, catalog.Reservation{
		ID: t.ID, Database: t.Endpoint.Database, Role: t.Endpoint.User, Password: t.Endpoint.Password,
		Server: server.Name, Organization: req.Organization, Aliases: req.Aliases, Labels: req.Labels,
		Admin: adminOf(req), Step: "adopt", Adopted: true, SharedRole: t.SharedRole, Before: before,
		Owner: p.owner, TTL: p.cfg.ClaimTTL,
	})
	if err != nil {
		return nil, err
	}
	j := &job{p: p, claim: claim, reserved: began}
	if _, err := p.create(ctx, j); err != nil {
		return nil, err
	}
	made, err := p.readBack(context.WithoutCancel(ctx), t.ID)
	if err != nil {
		return nil, err
	}
	return &AdoptResult{Tenant: made.Tenant, Changes: j.changes, Drift: j.drift}, nil
}

func adminOf(req AdoptRequest) registry.Admin {
	if req.Admin != (registry.Admin{}) && req.Admin.ID == "" {
		req.Admin.ID = cuid2.Generate()
	}
	return req.Admin
}

// checkAdoption looks at what the request alone says.
func (p *Provisioner) checkAdoption(req AdoptRequest) error {
	var errs []error
	refuse := func(wrong bool, message string) {
		if wrong {
			errs = append(errs, &AdoptError{Reason: message})
		}
	}
	refuse(req.Server == "", "Server: required")
	refuse(req.Database == "", "Database: required")
	refuse(req.Role == "" && (req.SharedRole || !req.Password.IsZero()), "Role: required with SharedRole or Password")
	refuse(p.names.isOwn(req.Database), "the database is a template or a scratch database of this package")
	if admin, err := p.admin(req.Server); err == nil {
		refuse(req.Database == admin.Database, "it is the maintenance database")
	}
	refuse(p.cfg.isAdmin(req.Role) || slices.Contains([]string{p.names.ownerRole(), p.names.groupRole()}, req.Role),
		"the role is the administrator's, or belongs to all tenants")
	if !req.ID.Valid() || len(p.names.tenant(req.ID)) > maxName {
		errs = append(errs, tenancy.ErrInvalidID)
	}
	return errors.Join(errs...)
}

// adoptee is the tenant that the request is to become.
func (p *Provisioner) adoptee(req AdoptRequest, server registry.Server) *registry.Tenant {
	t := &registry.Tenant{Server: server, Adopted: true, SharedRole: req.SharedRole}
	t.ID, t.State, t.Epoch = req.ID, tenancy.Provisioning, 1
	t.Endpoint = tenancy.Endpoint{
		Server: server.Name, Host: server.Host, Port: server.Port,
		Database: req.Database, User: req.Role, Password: req.Password,
	}
	if req.Role == "" {
		t.Endpoint.User, t.Endpoint.Password = p.login(p.names.tenant(req.ID))
	}
	return t
}

// rehearseAdoption says what an adoption would do.
func (p *Provisioner) rehearseAdoption(
	ctx context.Context, conn *pgx.Conn, t *registry.Tenant, found *adoptable, others []string,
) (*AdoptResult, error) {
	statements, err := p.adoptionSQL(ctx, conn, t, found, others)
	if err != nil {
		return nil, err
	}
	drift, err := p.driftOf(ctx, conn, t, true)
	if err != nil {
		return nil, err
	}
	seen := t.Tenant
	seen.Endpoint.Password = tenancy.Secret{}
	return &AdoptResult{Tenant: seen, Changes: withoutSecrets(statements), Drift: drift}, nil
}

// adopt is the step that changes the server. It may run again.
func (j *job) adopt(ctx context.Context) error {
	conn, err := j.session(ctx)
	if err != nil {
		return err
	}
	p, t := j.p, &j.claim.Tenant
	found, err := p.appraise(ctx, conn, t)
	if err != nil {
		return err
	}
	others, err := othersIn(j.claim.Before)
	if err != nil {
		return err
	}
	for _, owner := range found.owners {
		if err := pgadmin.RetryRaced(ctx, func() error { return pgadmin.JoinRole(ctx, conn, owner) }); err != nil {
			return fmt.Errorf("join role %q, which owns what is in the database: %w", owner, pgerr.Redact(err))
		}
	}
	statements, err := p.adoptionSQL(ctx, conn, t, found, others)
	if err != nil {
		return err
	}
	if err := p.prepare(ctx, conn, t.Server); err != nil {
		return err
	}
	err = p.retryLocked(ctx, conn, t, func() error {
		return pgadmin.RetryRaced(ctx, func() error { return pgadmin.Run(ctx, conn, transaction(statements)) })
	})
	if err != nil {
		return err
	}
	if err := p.cfg.failpoints.After(ctx, "adopt access"); err != nil {
		return err
	}
	j.changes = withoutSecrets(statements)
	if j.drift, err = p.driftOf(ctx, conn, t, false); err != nil {
		return err
	}
	if len(j.drift) > 0 {
		return nil
	}
	return p.catalog.ClaimSchemaHash(ctx, j.claim, p.hash)
}

// driftOf compares the schema of t's database with the configured one. Unless look is set, it first gives the tenants'
// role its privileges there, as an upgrade does.
func (p *Provisioner) driftOf(
	ctx context.Context, conn *pgx.Conn, t *registry.Tenant, look bool,
) (drift []string, err error) {
	target, err := p.config(ctx, t.Server, t.Endpoint.Database)
	if err != nil {
		return nil, err
	}
	err = p.withModel(ctx, conn, t.Server, func(model *pgx.ConnConfig) error {
		if !look {
			if err := pgadmin.Regrant(ctx, target, model, p.names.groupRole()); err != nil {
				return fmt.Errorf("grant the tenants' role its privileges: %w", pgerr.Redact(err))
			}
		}
		want, err := fingerprintOf(ctx, model)
		if err != nil {
			return err
		}
		got, err := fingerprintOf(ctx, target)
		if err != nil {
			return err
		}
		drift = got.Diff(want)
		if look {
			drift = p.withoutGrants(drift)
		}
		return nil
	})
	return drift, err
}
