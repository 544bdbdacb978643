-- +goose Up
-- The version comes from a row that the writing transaction holds until it ends, not from a sequence: versions commit
-- in order and without gaps, so that a reader who has seen n needs nothing but what is greater than n.
CREATE TABLE IF NOT EXISTS pgtenancy.feed (
    id      bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT feed_pkey PRIMARY KEY (id),
    CONSTRAINT feed_id_check CHECK (id = 1)
);

CREATE TABLE IF NOT EXISTS pgtenancy.changes (
    version    bigint      NOT NULL,
    tenant_id  text        NOT NULL, -- no foreign key: a change outlives its tenant
    epoch      bigint      NOT NULL,
    session    text        NOT NULL DEFAULT '', -- not empty: this session was closed, and the tenant did not change
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT changes_pkey PRIMARY KEY (version)
);

CREATE INDEX IF NOT EXISTS changes_changed_at_idx ON pgtenancy.changes (changed_at);
