-- +goose Up
CREATE TABLE IF NOT EXISTS pgtenancy.servers (
    name        text        NOT NULL,
    host        text        NOT NULL,
    port        bigint      NOT NULL,
    pooled_host text        NOT NULL,
    pooled_port bigint      NOT NULL,
    region      text        NOT NULL,
    weight      bigint      NOT NULL,
    capacity    bigint      NOT NULL, -- 0: no limit
    max_conns   bigint      NOT NULL, -- 0: not limited here
    state       text        NOT NULL,
    tenants     bigint      NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT servers_pkey PRIMARY KEY (name),
    CONSTRAINT servers_state_check CHECK (state IN ('open', 'full', 'draining')),
    CONSTRAINT servers_weight_check CHECK (weight > 0),
    CONSTRAINT servers_tenants_check CHECK (tenants >= 0)
);
