-- +goose Up
-- Who may write to this table does not decide where passwords go: an address counts only with its MAC under an index key.
ALTER TABLE pgtenancy.servers ADD COLUMN IF NOT EXISTS address_mac text NOT NULL DEFAULT ''; -- '' and any other wrong one: not signed
