-- +goose Up
INSERT INTO pgtenancy.feed (id, version) VALUES (1, 0) ON CONFLICT DO NOTHING;
