-- +goose Up
-- Processes that share the servers' connection budgets. beat grows while a process lives.
CREATE TABLE IF NOT EXISTS pgtenancy.routers (
    id        text        NOT NULL,
    beat      bigint      NOT NULL,
    joined_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT routers_pkey PRIMARY KEY (id)
);

-- How many connections to a server each of them may have open: never less than it has.
CREATE TABLE IF NOT EXISTS pgtenancy.router_conns (
    server  text   NOT NULL,
    router  text   NOT NULL,
    granted bigint NOT NULL,
    CONSTRAINT router_conns_pkey PRIMARY KEY (server, router),
    CONSTRAINT router_conns_granted_check CHECK (granted >= 0),
    CONSTRAINT router_conns_server_fkey FOREIGN KEY (server) REFERENCES pgtenancy.servers (name) ON DELETE CASCADE,
    CONSTRAINT router_conns_router_fkey FOREIGN KEY (router) REFERENCES pgtenancy.routers (id) ON DELETE CASCADE
);

-- Whoever takes connections that were free holds this row until it has said so.
CREATE TABLE IF NOT EXISTS pgtenancy.router_turn (
    id   bigint NOT NULL,
    turn bigint NOT NULL,
    CONSTRAINT router_turn_pkey PRIMARY KEY (id),
    CONSTRAINT router_turn_id_check CHECK (id = 1)
);
