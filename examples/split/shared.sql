-- The one database that all organizations share before the move.
CREATE TABLE organizations (id text PRIMARY KEY, name text NOT NULL);
CREATE TABLE projects (
	id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	org  text NOT NULL REFERENCES organizations,
	name text NOT NULL
);
CREATE TABLE notes (
	id      bigserial PRIMARY KEY,
	org     text NOT NULL REFERENCES organizations,
	project bigint NOT NULL REFERENCES projects,
	text    text NOT NULL,
	length  int GENERATED ALWAYS AS (length(text)) STORED
);
CREATE INDEX ON notes (org);
