-- The database of one organization after the move.
CREATE TABLE projects (
	id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL
);
CREATE TABLE notes (
	id      bigserial PRIMARY KEY,
	project bigint NOT NULL REFERENCES projects,
	text    text NOT NULL CHECK (text <> ''),
	length  int GENERATED ALWAYS AS (length(text)) STORED
);
