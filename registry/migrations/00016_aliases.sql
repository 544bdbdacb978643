-- +goose Up
-- Other names of a tenant: ids that another service gave it, host names. An alias is compared byte by byte.
CREATE TABLE IF NOT EXISTS pgtenancy.aliases (
    alias      text        NOT NULL,
    tenant_id  text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT aliases_pkey PRIMARY KEY (alias),
    CONSTRAINT aliases_alias_check CHECK (alias <> ''),
    CONSTRAINT aliases_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES pgtenancy.tenants (id) ON DELETE CASCADE
);

CREATE INDEX IF NOT EXISTS aliases_tenant_id_idx ON pgtenancy.aliases (tenant_id);

-- not empty: this alias leads elsewhere now, and the tenant did not change
ALTER TABLE pgtenancy.changes ADD COLUMN IF NOT EXISTS alias text NOT NULL DEFAULT '';

ALTER TABLE pgtenancy.tenants
    ADD COLUMN IF NOT EXISTS labels jsonb NOT NULL DEFAULT '{}', -- an object of strings
    ADD COLUMN IF NOT EXISTS attributes bytea;                   -- sealed; null: none

CREATE INDEX IF NOT EXISTS tenants_labels_idx ON pgtenancy.tenants USING gin (labels jsonb_path_ops);
