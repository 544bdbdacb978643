package layers_test

import (
	"io/fs"
	"testing/fstest"
)

func migrations() fs.FS {
	return fstest.MapFS{"00001_notes.sql": &fstest.MapFile{Data: []byte(`-- +goose Up
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL);
`)}}
}
