-- +goose Up
-- Second factors of admins. last_step is the time step of the last code that was used: no code is good twice.
CREATE TABLE IF NOT EXISTS pgtenancy.factors (
    admin_id     text        NOT NULL,
    secret       bytea       NOT NULL, -- sealed
    last_step    bigint      NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz, -- null: no code was given yet, and none is wanted
    CONSTRAINT factors_pkey PRIMARY KEY (admin_id),
    CONSTRAINT factors_admin_id_fkey FOREIGN KEY (admin_id) REFERENCES pgtenancy.admins (id) ON DELETE CASCADE
);
