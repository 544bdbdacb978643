-- +goose Up
-- Attempts that were made at something. level is how many of them were not forgotten yet, at updated_at; from held_until on
-- one is forgotten in each "most" seconds. A row whose expires_at has passed says nothing any more.
CREATE TABLE IF NOT EXISTS pgtenancy.throttles (
    key        bytea            NOT NULL, -- keyed hash of what is counted
    level      double precision NOT NULL,
    free       double precision NOT NULL, -- attempts without a delay
    delay      double precision NOT NULL, -- seconds, after the last of these; doubled after each one more
    most       double precision NOT NULL, -- seconds, the longest delay
    top        double precision NOT NULL, -- the level at which it is reached
    held_until timestamptz,               -- null: the next attempt may come at once
    known      boolean          NOT NULL DEFAULT false, -- somebody succeeded here, and is let in by this row alone
    updated_at timestamptz      NOT NULL DEFAULT now(),
    expires_at timestamptz      NOT NULL,
    CONSTRAINT throttles_pkey PRIMARY KEY (key),
    CONSTRAINT throttles_key_check CHECK (length(key) = 32)
);

CREATE INDEX IF NOT EXISTS throttles_expires_at_idx ON pgtenancy.throttles (expires_at);
