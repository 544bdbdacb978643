-- +goose Up
-- scope is '' for an e-mail that belongs to one tenant alone, and the tenant's id for one that others may have too.
ALTER TABLE pgtenancy.admin_email_index ADD COLUMN IF NOT EXISTS scope text NOT NULL DEFAULT '';
ALTER TABLE pgtenancy.admin_email_index DROP CONSTRAINT IF EXISTS admin_email_index_bidx_key;
ALTER TABLE pgtenancy.admin_email_index ADD CONSTRAINT admin_email_index_bidx_key UNIQUE (bidx, scope);
