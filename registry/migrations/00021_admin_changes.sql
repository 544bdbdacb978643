-- +goose Up
-- A change of an admin that was decided here and may not have reached the row in the tenant's own database yet. The
-- process that made it finishes it; after claim_expires any process does.
CREATE TABLE IF NOT EXISTS pgtenancy.admin_changes (
    admin_id      text        NOT NULL, -- one change of an admin at a time
    tenant_id     text        NOT NULL,
    kind          text        NOT NULL,
    data          bytea, -- sealed
    attempt       bigint      NOT NULL,
    claim_owner   text        NOT NULL, -- empty: no process
    claim_expires timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT admin_changes_pkey PRIMARY KEY (admin_id),
    CONSTRAINT admin_changes_kind_check CHECK (kind IN ('add', 'role', 'email', 'password', 'remove')),
    CONSTRAINT admin_changes_admin_id_fkey
        FOREIGN KEY (admin_id) REFERENCES pgtenancy.admins (id) ON DELETE CASCADE,
    CONSTRAINT admin_changes_tenant_id_fkey
        FOREIGN KEY (tenant_id) REFERENCES pgtenancy.tenants (id) ON DELETE CASCADE
);

CREATE INDEX IF NOT EXISTS admin_changes_claim_idx ON pgtenancy.admin_changes (claim_expires);

CREATE INDEX IF NOT EXISTS admin_changes_tenant_id_idx ON pgtenancy.admin_changes (tenant_id);
