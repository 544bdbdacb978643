-- +goose Up
-- What was changed, by which actor and from where. There are no foreign keys: an event outlives what it tells of.
CREATE TABLE IF NOT EXISTS pgtenancy.events (
    id        text        NOT NULL,
    seq       bigint      GENERATED ALWAYS AS IDENTITY,
    at        timestamptz NOT NULL DEFAULT now(),
    kind      text        NOT NULL,
    tenant_id text        NOT NULL, -- empty: the event concerns none
    admin_id  text        NOT NULL, -- the admin whom it concerns; empty: none
    object    text        NOT NULL, -- a session, an invitation or a server; empty: none
    detail    text        NOT NULL, -- a role, a state, a reason
    actor     text        NOT NULL, -- an admin's id, or what the caller names itself; empty: not known
    client    bytea,                -- sealed; null: the caller gave nothing
    CONSTRAINT events_pkey PRIMARY KEY (id),
    CONSTRAINT events_seq_key UNIQUE (seq)
);

CREATE INDEX IF NOT EXISTS events_tenant_id_idx ON pgtenancy.events (tenant_id, seq);

CREATE INDEX IF NOT EXISTS events_at_idx ON pgtenancy.events (at);
