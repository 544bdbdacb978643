-- +goose Up
-- Tokens that are sent by e-mail. hash is SHA-256 of 256 random bits: a dump holds nothing that opens anything.
CREATE TABLE IF NOT EXISTS pgtenancy.tokens (
    id         text        NOT NULL,
    hash       bytea       NOT NULL,
    kind       text        NOT NULL,
    tenant_id  text,
    admin_id   text,
    data       bytea       NOT NULL, -- sealed
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT tokens_pkey PRIMARY KEY (id),
    CONSTRAINT tokens_hash_key UNIQUE (hash),
    CONSTRAINT tokens_hash_check CHECK (length(hash) = 32),
    CONSTRAINT tokens_kind_check CHECK (kind IN ('invite', 'reset', 'email', 'sign-up')),
    CONSTRAINT tokens_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES pgtenancy.tenants (id) ON DELETE CASCADE,
    CONSTRAINT tokens_admin_id_fkey FOREIGN KEY (admin_id) REFERENCES pgtenancy.admins (id) ON DELETE CASCADE
);

CREATE INDEX IF NOT EXISTS tokens_tenant_id_idx ON pgtenancy.tokens (tenant_id, kind);

CREATE INDEX IF NOT EXISTS tokens_admin_id_idx ON pgtenancy.tokens (admin_id);

CREATE INDEX IF NOT EXISTS tokens_expires_at_idx ON pgtenancy.tokens (expires_at);

-- Mails to be sent. A request is written for a known e-mail and for an unknown one alike; which it is, and the token,
-- are found out by the process that sends the mail.
CREATE TABLE IF NOT EXISTS pgtenancy.mails (
    id            text        NOT NULL,
    kind          text        NOT NULL,
    data          bytea       NOT NULL, -- sealed
    attempt       bigint      NOT NULL DEFAULT 0,
    claim_expires timestamptz NOT NULL DEFAULT now(),
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT mails_pkey PRIMARY KEY (id)
);

CREATE INDEX IF NOT EXISTS mails_claim_idx ON pgtenancy.mails (claim_expires);
