package provision

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ReconcileReport is what one pass of the reconciler did.
type ReconcileReport struct {
	Finished    []tenancy.ID         // sign-ups brought to active
	Undone      []tenancy.ID         // failed sign-ups and deletions ended
	Unknown     []string             // databases with our prefix, without a row, that are no templates: not touched
	Missing     []tenancy.ID         // active tenants without a database: an alarm
	Stocked     []tenancy.ID         // warm databases whose maker died: finished
	Retired     []tenancy.ID         // warm databases that no process asks for, or that could not be made: dropped
	AccessFixed []tenancy.ID         // suspended tenants whose database was open, active ones whose was closed: mended
	Retried     map[tenancy.ID]error // what did not work, and will be tried again

	// Reindex are the tenants whose database has indexes of another version of its collation than the server's libraries
	// have now, since a new C library or ICU came: some may be in the wrong order. Not touched: in each, REINDEX DATABASE,
	// then ALTER DATABASE … REFRESH COLLATION VERSION.
	Reindex []tenancy.ID

	UnknownRoles []string // roles with our prefix that are not known to a row, nor have a database: not touched

	// Repaired are tenants whose access was wrong, and is right again: privileges on the database, whether it takes
	// connections, its owner tag, the role's attributes, limit of connections and memberships.
	Repaired []tenancy.ID

	// NotOurs are active and suspended tenants whose database or role is, by its owner and its comment, not theirs: an
	// alarm. It is not touched.
	NotOurs []tenancy.ID

	// RoleSettings are the settings that tenants' roles have in the catalogue, 1000 of a server at most. A tenant's role
	// may make them itself, and can keep itself out with them; Suspend and Resume take them off. Those of an operator
	// belong on the database (ALTER DATABASE … SET), where the role cannot change them.
	RoleSettings []RoleSetting

	// Terminated are the sessions of tenants' roles that were ended because they held or awaited a lock on another
	// database or an exclusive one on their own, blocked the administrator in the maintenance database, or held back the
	// server's queue of notifications when it was half full.
	Terminated []TerminatedSession
}

// RoleSetting is a setting that a tenant's role has in the catalogue (pg_db_role_setting). Its value is not told.
type RoleSetting struct {
	Server   string // the registry's name for it
	Role     string
	Database string // where it applies; empty: everywhere
	Setting  string // its name
}

// log writes what a pass did, if it did anything.
func (r *ReconcileReport) log(ctx context.Context, p *Provisioner, err error) {
	log := p.cfg.Logger
	if len(r.Finished)+len(r.Undone)+len(r.Stocked)+len(r.Retired)+len(r.Retried) > 0 {
		attrs := []slog.Attr{
			slog.Int("finished", len(r.Finished)), slog.Int("undone", len(r.Undone)), slog.Int("stocked", len(r.Stocked)),
			slog.Int("retired", len(r.Retired)), slog.Int("retried", len(r.Retried)),
		}
		level := slog.LevelInfo
		if len(r.Retried) > 0 {
			level = slog.LevelWarn
			errs := make(map[tenancy.ID]string, len(r.Retried))
			for id, err := range r.Retried {
				errs[id] = pgerr.Redact(err).Error()
			}
			attrs = append(attrs, slog.Any("errors", errs))
		}
		log.LogAttrs(ctx, level, "provision: reconciled", attrs...)
	}
	if len(r.Unknown) > 0 {
		log.LogAttrs(ctx, slog.LevelWarn, "provision: unknown databases", slog.Any("databases", r.Unknown))
	}
	if len(r.UnknownRoles) > 0 {
		log.LogAttrs(ctx, slog.LevelWarn, "provision: unknown roles", slog.Any("roles", r.UnknownRoles))
	}
	if len(r.RoleSettings) > 0 {
		names := map[string]bool{}
		for _, s := range r.RoleSettings {
			names[s.Setting] = true
		}
		log.LogAttrs(ctx, slog.LevelWarn, "provision: tenants' roles have settings", slog.Int("count", len(r.RoleSettings)),
			slog.String("first role", r.RoleSettings[0].Role), slog.Any("settings", slices.Sorted(maps.Keys(names))))
	}
	p.logTerminated(ctx, r.Terminated)
	if err != nil {
		log.LogAttrs(ctx, slog.LevelError, "provision: reconcile", slog.String("error", pgerr.Redact(err).Error()))
	}
}
