-- +goose Up
-- An adopted tenant's database and role were there before the tenant, under names of their own, on whichever server.
ALTER TABLE pgtenancy.tenants
    ADD COLUMN IF NOT EXISTS adopted boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS role_shared boolean NOT NULL DEFAULT false,   -- the role serves other databases too
    ADD COLUMN IF NOT EXISTS keep_database boolean NOT NULL DEFAULT false, -- undoing leaves the database where it is
    ADD COLUMN IF NOT EXISTS before bytea;                                 -- sealed; what releasing puts back

ALTER TABLE pgtenancy.tenants DROP CONSTRAINT IF EXISTS tenants_database_key;
ALTER TABLE pgtenancy.tenants ADD CONSTRAINT tenants_database_key UNIQUE (server, database);

CREATE INDEX IF NOT EXISTS tenants_adopted_idx ON pgtenancy.tenants (server) WHERE adopted;
