-- +goose Up
INSERT INTO pgtenancy.router_turn (id, turn) VALUES (1, 0) ON CONFLICT DO NOTHING;
