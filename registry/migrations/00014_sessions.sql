-- +goose Up
-- rotated_at is when a session was last used, and idle how long it lives after that.
ALTER TABLE pgtenancy.sessions
    ADD COLUMN IF NOT EXISTS idle interval NOT NULL DEFAULT interval '14 days',
    ADD COLUMN IF NOT EXISTS password_mark text NOT NULL DEFAULT '', -- of the hash that it was opened with; empty: not known
    ADD COLUMN IF NOT EXISTS wrong_passwords bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS client bytea; -- sealed; null: the caller gave nothing
