package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const (
	maxLabels     = 64
	maxLabelKey   = 63  // bytes
	maxLabelValue = 255 // bytes
	maxAttributes = 16 << 10
)

// SetLabels replaces the labels of a tenant in any state. Labels are for operators, to select tenants by: the plan,
// the region, a ring of a rollout. They are not sealed, and routers do not read them. At most 64, with keys of 1 to 63
// bytes and values of up to 255. It returns [ErrInvalidLabel] or [tenancy.ErrNotFound]. ctx governs the statement.
func (r *Registry) SetLabels(ctx context.Context, id tenancy.ID, labels map[string]string) error {
	if err := CheckLabels(labels); err != nil {
		return err
	}
	found, err := r.db.Exec(ctx, fmt.Sprintf("set labels of tenant %q", id),
		`UPDATE pgtenancy.tenants SET labels = $2::text::jsonb, updated_at = now() WHERE id = $1`, id, regdb.Labels(labels))
	if err == nil && !found {
		err = regdb.NotFound(id)
	}
	return err
}

// CheckLabels returns [ErrInvalidLabel] for labels that a tenant cannot have.
func CheckLabels(labels map[string]string) error {
	valid := len(labels) <= maxLabels
	for key, value := range labels {
		valid = valid && key != "" && len(key) <= maxLabelKey && len(value) <= maxLabelValue &&
			regdb.Storable(key) && regdb.Storable(value)
	}
	if !valid {
		return ErrInvalidLabel
	}
	return nil
}

// SetAttributes replaces what the application keeps of its own about a tenant, a JSON document of at most 16 KiB, by
// the JSON of doc; nil removes it. It is sealed at rest. Where Config.Attributes is set, [tenancy.Lease.Tenant] has it,
// and a change is known as soon as that of a state is, but renews the tenant's connections: keep in it what changes
// seldom. It returns [tenancy.ErrNotFound], or json.Marshal's error. ctx governs the statement.
func (r *Registry) SetAttributes(ctx context.Context, id tenancy.ID, doc any) error {
	const sql = `
WITH changed AS (
	UPDATE pgtenancy.tenants SET attributes = $2, epoch = epoch + 1, updated_at = now() WHERE id = $1 RETURNING id, epoch
)` + regdb.Publish
	var sealed []byte
	if doc != nil {
		plain, err := json.Marshal(doc)
		if err == nil && len(plain) > maxAttributes {
			err = fmt.Errorf("more than %d bytes", maxAttributes)
		}
		if err == nil {
			sealed, err = r.db.Seal(ctx, plain, "tenants", string(id), "attributes")
		}
		if err != nil {
			return fmt.Errorf("registry: set attributes of tenant %q: %w", id, err)
		}
	}
	found, err := r.db.Exec(ctx, fmt.Sprintf("set attributes of tenant %q", id), sql, id, sealed)
	if err == nil && !found {
		err = regdb.NotFound(id)
	}
	return err
}

// Attributes returns the JSON document of SetAttributes, which may hold secrets; nil if there is none. It returns
// [tenancy.ErrNotFound]. ctx governs the query.
func (r *Registry) Attributes(ctx context.Context, id tenancy.ID) (json.RawMessage, error) {
	var sealed []byte
	err := r.db.QueryRow(ctx, fmt.Sprintf("attributes of tenant %q", id),
		`SELECT attributes FROM pgtenancy.tenants WHERE id = $1`, []any{id}, &sealed)
	if err != nil {
		return nil, regdb.OrNotFound(err, id)
	}
	if sealed == nil {
		return nil, nil
	}
	return r.db.Open(ctx, sealed, "tenants", string(id), "attributes")
}
