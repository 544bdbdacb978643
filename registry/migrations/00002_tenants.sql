-- +goose Up
CREATE TABLE IF NOT EXISTS pgtenancy.tenants (
    id              text        NOT NULL,
    state           text        NOT NULL,
    epoch           bigint      NOT NULL,
    server          text        NOT NULL,
    database        text        NOT NULL,
    role_name       text        NOT NULL,
    password        bytea       NOT NULL, -- sealed
    schema_hash     text        NOT NULL,
    data            bytea,                -- sealed; gone after activation
    attempt         bigint      NOT NULL,
    claim_owner     text        NOT NULL, -- empty: nobody
    claim_expires   timestamptz NOT NULL,
    step            text        NOT NULL DEFAULT '',
    fail_reason     text        NOT NULL DEFAULT '',
    idempotency_key text,
    request_hash    bytea,                -- sealed
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    activated_at    timestamptz,
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_database_key UNIQUE (database),
    CONSTRAINT tenants_idempotency_key_key UNIQUE (idempotency_key),
    CONSTRAINT tenants_server_fkey FOREIGN KEY (server) REFERENCES pgtenancy.servers (name),
    CONSTRAINT tenants_state_check
        CHECK (state IN ('provisioning', 'active', 'suspended', 'moving', 'deleting', 'failing'))
);

CREATE INDEX IF NOT EXISTS tenants_server_idx ON pgtenancy.tenants (server);

-- Claims are sought among the few tenants that are being made or unmade, never among the many that are active.
CREATE INDEX IF NOT EXISTS tenants_claim_idx ON pgtenancy.tenants (claim_expires)
    WHERE state IN ('provisioning', 'failing', 'deleting');

CREATE TABLE IF NOT EXISTS pgtenancy.organizations (
    id               text   NOT NULL,
    name             text   NOT NULL,
    email            bytea, -- sealed
    billing_customer text   NOT NULL,
    trial_ends_at    timestamptz,
    CONSTRAINT organizations_pkey PRIMARY KEY (id),
    CONSTRAINT organizations_id_fkey FOREIGN KEY (id) REFERENCES pgtenancy.tenants (id) ON DELETE CASCADE
);

-- An id is never given out twice. The epoch tells a router that was away that the tenant is gone.
CREATE TABLE IF NOT EXISTS pgtenancy.retired_ids (
    id         text        NOT NULL,
    epoch      bigint      NOT NULL,
    retired_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT retired_ids_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS pgtenancy.steps (
    tenant_id  text        NOT NULL,
    name       text        NOT NULL,
    state      text        NOT NULL,
    result     bytea       NOT NULL, -- sealed
    begun_at   timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT steps_pkey PRIMARY KEY (tenant_id, name),
    CONSTRAINT steps_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES pgtenancy.tenants (id) ON DELETE CASCADE,
    CONSTRAINT steps_state_check CHECK (state IN ('begun', 'done', 'undone'))
);
