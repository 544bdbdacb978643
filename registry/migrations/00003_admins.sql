-- +goose Up
CREATE TABLE IF NOT EXISTS pgtenancy.admins (
    id            text        NOT NULL,
    tenant_id     text        NOT NULL,
    email         bytea       NOT NULL, -- sealed
    password_hash text        NOT NULL,
    role          text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT admins_pkey PRIMARY KEY (id),
    CONSTRAINT admins_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES pgtenancy.tenants (id) ON DELETE CASCADE
);

CREATE INDEX IF NOT EXISTS admins_tenant_id_idx ON pgtenancy.admins (tenant_id);

-- One row for each admin and index key. UNIQUE (bidx) is the rule that an e-mail belongs to one tenant; it is here
-- that two sign-ups with one e-mail meet. Migration 15 adds a scope.
CREATE TABLE IF NOT EXISTS pgtenancy.admin_email_index (
    admin_id  text   NOT NULL,
    kid       bigint NOT NULL,
    bidx      bytea  NOT NULL,
    tenant_id text   NOT NULL,
    CONSTRAINT admin_email_index_pkey PRIMARY KEY (admin_id, kid),
    CONSTRAINT admin_email_index_bidx_key UNIQUE (bidx),
    CONSTRAINT admin_email_index_bidx_check CHECK (length(bidx) = 32),
    CONSTRAINT admin_email_index_admin_id_fkey
        FOREIGN KEY (admin_id) REFERENCES pgtenancy.admins (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS pgtenancy.sessions (
    id         text        NOT NULL,
    tenant_id  text        NOT NULL,
    admin_id   text        NOT NULL,
    secret     bytea       NOT NULL, -- sealed
    counter    bigint      NOT NULL,
    rotated_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES pgtenancy.tenants (id) ON DELETE CASCADE,
    CONSTRAINT sessions_admin_id_fkey FOREIGN KEY (admin_id) REFERENCES pgtenancy.admins (id) ON DELETE CASCADE
);

CREATE INDEX IF NOT EXISTS sessions_admin_id_idx ON pgtenancy.sessions (admin_id);

CREATE INDEX IF NOT EXISTS sessions_tenant_id_idx ON pgtenancy.sessions (tenant_id);

CREATE INDEX IF NOT EXISTS sessions_expires_at_idx ON pgtenancy.sessions (expires_at);
