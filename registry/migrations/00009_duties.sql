-- +goose Up
-- What one process does for all of them. Whoever moves "until" does it, and nobody else does before it has passed.
CREATE TABLE IF NOT EXISTS pgtenancy.duties (
    name  text        NOT NULL,
    until timestamptz NOT NULL,
    CONSTRAINT duties_pkey PRIMARY KEY (name)
);
