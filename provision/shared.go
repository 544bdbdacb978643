package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// validSharedRole reports whether PostgreSQL takes name for a role, keeps it whole, and means a single role by it; and
// whether it is neither the administrator nor of a name that is ours to give.
func (c Config) validSharedRole() bool {
	name := c.SharedRole
	switch {
	case name == "":
		return true
	case name == "public", name == "none": // quoted or not
		return false
	case len(name) > maxName, !utf8.ValidString(name), strings.ContainsRune(name, 0):
		return false
	}
	return !strings.HasPrefix(name, "pg_") && !strings.HasPrefix(name, c.Prefix) &&
		(c.Admin == nil || name != c.Admin.User)
}

// shares reports whether the tenant of that endpoint is one of those that use Config.SharedRole.
func (p *Provisioner) shares(e tenancy.Endpoint) bool {
	return p.cfg.SharedRole != "" && e.User == p.cfg.SharedRole
}

// login returns the role of a new tenant whose names are name, and the role's password. The shared role's is the
// resolvers' to know.
func (p *Provisioner) login(name string) (role string, password tenancy.Secret) {
	if p.cfg.SharedRole != "" {
		return p.cfg.SharedRole, tenancy.Secret{}
	}
	return name, newPassword()
}

// foreignRole reports whether the role that the tenant's row names is somebody else's. The shared one is everybody's.
func (p *Provisioner) foreignRole(f found, t *registry.Tenant) bool {
	return f.role && !ownsRole(f, t.ID) && !p.shares(t.Endpoint)
}

// admitShared lets Config.SharedRole use what tenants use, and the administrator end its sessions. A role that no
// REVOKE would keep out of a database is refused: it would go on in those of suspended tenants.
func (p *Provisioner) admitShared(ctx context.Context, conn *pgx.Conn) error {
	role, group := p.cfg.SharedRole, p.names.groupRole()
	var usable, rules, member bool
	err := conn.QueryRow(ctx, `
		SELECT rolcanlogin AND rolinherit, rolsuper OR pg_has_role(oid, $2::name, 'MEMBER'), pg_has_role(oid, $3::name, 'USAGE')
		FROM pg_roles WHERE rolname = $1`, role, p.names.ownerRole(), group).Scan(&usable, &rules, &member)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("role %q of Config.SharedRole does not exist", role)
	case err != nil:
		return err
	case rules:
		return fmt.Errorf("role %q of Config.SharedRole is a superuser, or a member of %q", role, p.names.ownerRole())
	case !usable:
		return fmt.Errorf("role %q of Config.SharedRole must have LOGIN and INHERIT", role)
	}
	if !member {
		err = retryRaced(ctx, func() error { return run(ctx, conn, "GRANT "+quote(group)+" TO "+quote(role)) })
		if err != nil {
			return fmt.Errorf("grant %q to %q: %w", group, role, pgerr.Redact(err))
		}
	}
	if err := retryRaced(ctx, func() error { return joinRole(ctx, conn, role) }); err != nil {
		return fmt.Errorf("join role %q: %w", role, pgerr.Redact(err))
	}
	return nil
}
