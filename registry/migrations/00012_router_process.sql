-- +goose Up
-- Which process a router is, for others on its machine, who can see that it has ended; empty: unknown.
ALTER TABLE pgtenancy.routers ADD COLUMN IF NOT EXISTS host text NOT NULL DEFAULT '';
ALTER TABLE pgtenancy.routers ADD COLUMN IF NOT EXISTS process text NOT NULL DEFAULT '';
