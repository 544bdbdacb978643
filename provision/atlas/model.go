package atlas

import (
	"context"
	"fmt"
	"sync"

	"ariga.io/atlas/sql/schema"
	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
)

// model is what was read of a database that has the wanted schema. Nobody changes it: upgrades share it.
type model struct {
	schema      *schema.Schema
	fingerprint *fingerprint.Fingerprint
}

// models keeps the model of each server. A fleet is upgraded against one model on each server, and reading it takes as
// long as reading the tenant's database.
type models struct {
	mu    sync.Mutex // guards known; no I/O happens under it
	known map[string]*model
}

// get reads the model from the database of cfg, unless one of its server is known: all have the same schema, and each
// upgrade brings one of its own.
func (m *models) get(ctx context.Context, cfg *pgx.ConnConfig) (*model, error) {
	key := fmt.Sprintf("%s\n%d", cfg.Host, cfg.Port)
	m.mu.Lock()
	found := m.known[key]
	m.mu.Unlock()
	if found != nil {
		return found, nil
	}
	read, err := readModel(ctx, cfg)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = make(map[string]*model)
	}
	m.known[key] = read
	return read, nil
}

func readModel(ctx context.Context, cfg *pgx.ConnConfig) (*model, error) {
	s, err := begin(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	m := &model{}
	if _, m.schema, err = s.inspect(ctx); err != nil {
		return nil, redact(ctx, err)
	}
	err = s.pgx(func(conn *pgx.Conn) (err error) {
		m.fingerprint, err = fingerprint.Take(ctx, conn)
		return err
	})
	return m, err
}
