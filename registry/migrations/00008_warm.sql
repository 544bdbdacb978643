-- +goose Up
-- Databases made ahead of sign-ups, each under the id, the names and the password of the tenant that it will be. A
-- sign-up deletes the row in the transaction that inserts the tenant's: a database is always known to exactly one row.
CREATE TABLE IF NOT EXISTS pgtenancy.warm_databases (
    id            text        NOT NULL,
    state         text        NOT NULL,
    server        text        NOT NULL,
    database      text        NOT NULL,
    role_name     text        NOT NULL,
    password      bytea       NOT NULL, -- sealed as the tenant's own, so that it moves as it is
    schema_hash   text        NOT NULL,
    attempt       bigint      NOT NULL,
    claim_owner   text        NOT NULL, -- empty: nobody
    claim_expires timestamptz NOT NULL,
    step          text        NOT NULL DEFAULT '',
    wanted_at     timestamptz NOT NULL DEFAULT now(), -- when a keeper last said that it wants this schema here
    made_at       timestamptz,                        -- null: it was never whole
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT warm_databases_pkey PRIMARY KEY (id),
    CONSTRAINT warm_databases_database_key UNIQUE (database),
    CONSTRAINT warm_databases_server_fkey FOREIGN KEY (server) REFERENCES pgtenancy.servers (name),
    CONSTRAINT warm_databases_state_check CHECK (state IN ('making', 'ready', 'retiring'))
);

CREATE INDEX IF NOT EXISTS warm_databases_stock_idx ON pgtenancy.warm_databases (server, schema_hash, state);

-- One at a time is made of a schema on a server, whatever the number of keepers.
CREATE UNIQUE INDEX IF NOT EXISTS warm_databases_making_key ON pgtenancy.warm_databases (server, schema_hash)
    WHERE made_at IS NULL;
