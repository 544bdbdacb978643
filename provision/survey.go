package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgadmin"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// survey compares the databases of all servers with the rows of the registry.
func (r *reconcileRun) survey(ctx context.Context) error {
	servers, err := r.p.cfg.Registry.Servers(ctx)
	if err != nil {
		return fmt.Errorf("list servers: %w", err)
	}
	conns, databases, err := r.listAll(ctx, servers)
	defer func() {
		for _, conn := range conns {
			pgadmin.Disconnect(conn)
		}
	}()
	errs := []error{err}
	// The databases were listed before the rows: what is made or dropped meanwhile shows up as a difference, and is
	// looked at again one by one.
	odd, err := r.match(ctx, databases)
	errs = append(errs, err)
	if err == nil {
		errs = append(errs, r.reportUnknown(ctx, conns, databases), r.reportMissing(ctx, conns, odd.missing),
			r.reportRoles(ctx, conns), r.reportNotOurs(ctx, odd.foreign), r.reconcileAccess(ctx, odd.drifted),
			r.repairAccess(ctx, odd.broken), r.reportSettings(ctx, conns), r.endBlockers(ctx, conns))
	}
	return errors.Join(errs...)
}

// listAll lists all servers side by side, so that a server that does not answer costs no more than its time-out.
// Servers that could not be listed are in the error and not in the maps.
func (r *reconcileRun) listAll(ctx context.Context, servers []registry.Server) (
	conns map[string]*pgx.Conn, databases map[string]listing, err error,
) {
	conns, databases = map[string]*pgx.Conn{}, map[string]listing{}
	errs := make([]error, len(servers))
	var mu sync.Mutex // guards the maps
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			conn, names, err := r.list(ctx, s)
			if err != nil {
				errs[i] = fmt.Errorf("server %q: %w", s.Name, pgerr.Redact(err))
				return
			}
			mu.Lock()
			defer mu.Unlock()
			conns[s.Name], databases[s.Name] = conn, names
		})
	}
	wg.Wait()
	return conns, databases, errors.Join(errs...)
}

// list returns a session on s and the databases there that have the prefix, or are adopted.
func (r *reconcileRun) list(ctx context.Context, s registry.Server) (*pgx.Conn, listing, error) {
	adopted, err := r.p.catalog.Adopted(ctx, s.Name)
	if err != nil {
		return nil, nil, err
	}
	conn, err := r.p.session(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	own, shared := rolesOf(adopted)
	rows, _ := conn.Query(ctx, `
		SELECT d.datname::text, coalesce(o.rolname, ''), coalesce(shobj_description(d.oid, 'pg_database'), ''),
		       r.oid IS NOT NULL, coalesce(shobj_description(r.oid, 'pg_authid'), ''),
		       coalesce(has_database_privilege(r.oid, d.oid, 'CONNECT'), true),
		       coalesce(has_database_privilege(s.oid, d.oid, 'CONNECT'), false), cardinality(`+repairs+`) > 0,
		       `+collationMoved(conn)+`
		FROM pg_database d LEFT JOIN pg_roles o ON o.oid = d.datdba
			LEFT JOIN unnest($5::text[], $6::text[], $7::text[]) a(database, own, shared) ON a.database = d.datname
			LEFT JOIN pg_roles r ON r.rolname = coalesce(a.own, d.datname)
			LEFT JOIN pg_roles s ON s.rolname = coalesce(nullif(a.shared, ''), $2::text)
		WHERE starts_with(d.datname::text, $4::text) OR a.database IS NOT NULL`,
		r.p.names.groupRole(), r.p.cfg.SharedRole, r.p.cfg.TenantConnLimit, r.p.cfg.Prefix, databasesOf(adopted), own, shared)
	names := listing{}
	var name string
	var l observedAccess
	remake := false
	_, err = pgx.ForEachRow(rows, []any{
		&name, &l.owner, &l.comment, &l.role, &l.roleNote, &l.roleEnters, &l.sharedEnters, &l.broken, &l.moved,
	}, func() error {
		if r.p.names.isTemplate(name) && l.owner == r.p.names.ownerRole() {
			remake = remake || l.moved && name == r.p.names.template(r.p.hash)
			return nil // of this release or another one's
		}
		names[name] = l
		return nil
	})
	if err == nil && remake && !r.dryRun {
		r.p.setReady(s.Name, false)
		if err := r.p.prepare(ctx, conn, s); err != nil {
			r.p.logError(ctx, "make the template anew on server "+s.Name, "", err)
		}
	}
	if err != nil {
		pgadmin.Disconnect(conn)
		return nil, nil, err
	}
	return conn, names, nil
}

func databasesOf(adopted []catalog.Adopted) []string {
	names := make([]string, len(adopted))
	for i, a := range adopted {
		names[i] = a.Database
	}
	return names
}

// rolesOf returns the role of each that is the tenant's alone, or else that it shares; the other is empty.
func rolesOf(adopted []catalog.Adopted) (own, shared []string) {
	own, shared = make([]string, len(adopted)), make([]string, len(adopted))
	for i, a := range adopted {
		if a.SharedRole {
			shared[i] = a.Role
		} else {
			own[i] = a.Role
		}
	}
	return own, shared
}

// discrepancies are tenants that the first look found something about; each is looked at again.
type discrepancies struct {
	missing []tenancy.ID // active, without a database
	foreign []tenancy.ID // whose database or role seems to be another's
	drifted []tenancy.ID // whose access is not what their state asks for
	broken  []tenancy.ID // whose access needs a repair
}

// match takes every tenant's database off the lists, and returns the tenants that something is odd about. A row that
// holds something unreadable is matched like any other; the method work reports it.
func (r *reconcileRun) match(ctx context.Context, databases map[string]listing) (o discrepancies, err error) {
	const page = 1000
	for after := tenancy.ID(""); ; {
		tenants, err := r.p.cfg.Registry.Tenants(ctx, after, page)
		if err != nil && len(tenants) == 0 {
			return discrepancies{}, fmt.Errorf("list tenants: %w", err)
		}
		for _, t := range tenants {
			names, listed := databases[t.Server.Name]
			found, there := names[t.Endpoint.Database]
			settled := t.State == tenancy.Active || t.State == tenancy.Suspended
			switch {
			case listed && !there && t.State == tenancy.Active:
				o.missing = append(o.missing, t.ID)
			case there && settled && r.p.seemsForeign(found, &t):
				o.foreign = append(o.foreign, t.ID)
			case there && found.state(r.p.shares(&t)).drifted(t.State):
				o.drifted = append(o.drifted, t.ID)
			case there && settled && found.broken:
				o.broken = append(o.broken, t.ID)
			}
			if there && found.moved {
				r.report(ctx, &t)
			}
			delete(names, t.Endpoint.Database)
			after = t.ID
		}
		if len(tenants) < page {
			return o, nil
		}
	}
}

// reportMissing raises the alarm for tenants that are still active and still have no database. It is never made anew:
// an empty database would hide the loss.
func (r *reconcileRun) reportMissing(ctx context.Context, conns map[string]*pgx.Conn, ids []tenancy.ID) error {
	var errs []error
	for _, id := range ids {
		t, err := r.p.cfg.Registry.Tenant(ctx, id)
		if errors.Is(err, tenancy.ErrNotFound) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		conn := conns[t.Server.Name]
		if t.State != tenancy.Active || conn == nil {
			continue
		}
		there, err := exists(ctx, conn, t.Endpoint.Database)
		errs = append(errs, err)
		if err == nil && !there {
			r.Missing = append(r.Missing, id)
			r.p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "provision: tenant is active but has no database",
				slog.String("tenant", string(id)), slog.String("server", t.Server.Name))
		}
	}
	return errors.Join(errs...)
}

// report tells of a tenant's database whose indexes may be in another order than the server's libraries sort by now.
func (r *reconcileRun) report(ctx context.Context, t *registry.Tenant) {
	r.Reindex = append(r.Reindex, t.ID)
	r.p.cfg.Logger.LogAttrs(ctx, slog.LevelWarn,
		"provision: the collation version has changed: REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION",
		slog.String("tenant", string(t.ID)), slog.String("database", t.Endpoint.Database),
		slog.String("server", t.Server.Name))
}
