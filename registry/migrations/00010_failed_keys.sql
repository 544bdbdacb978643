-- +goose Up
-- A failed sign-up's key outlives it: who asks again under it is told of the failure.
ALTER TABLE pgtenancy.retired_ids
    ADD COLUMN IF NOT EXISTS idempotency_key text,
    ADD COLUMN IF NOT EXISTS request_hash bytea; -- sealed as the tenant's
CREATE INDEX IF NOT EXISTS retired_ids_idempotency_key_idx ON pgtenancy.retired_ids (idempotency_key)
    WHERE idempotency_key IS NOT NULL;
