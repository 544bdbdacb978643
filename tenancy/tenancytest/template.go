package tenancytest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// templatePrefix begins the names of templates, which are no run's own.
const templatePrefix = "ttest_template_"

// template is a database that is copied. One goroutine makes it, and the others wait.
type template struct {
	made sync.Once
	name string
	err  error
}

// recipe says what a template is made of.
type recipe struct {
	key   string // equal keys mean equal templates, in all processes
	owned bool   // the tenants' role owns the database
	build func(ctx context.Context, cfg *pgx.ConnConfig) error
}

// template returns the name of the template of a recipe, which is made unless it is there. An error is the same for
// every test of the process.
func (s *server) template(ctx context.Context, r recipe) (string, error) {
	key := fmt.Sprintf("%q %t", r.key, r.owned)
	s.mu.Lock()
	t := s.templates[key]
	if t == nil {
		t = new(template)
		s.templates[key] = t
	}
	s.mu.Unlock()
	t.made.Do(func() {
		digest := sha256.Sum256([]byte(key))
		t.name = templatePrefix + hex.EncodeToString(digest[:16])
		t.err = errors.New("the test that made the schema ended early")
		t.err = s.makeTemplate(ctx, t.name, r)
	})
	return t.name, t.err
}

// makeTemplate makes the database under a name of this run, and renames it when it is complete: what a process that
// dies leaves is swept as its other databases are. If two processes make it at once, the second one drops its own.
func (s *server) makeTemplate(ctx context.Context, name string, r recipe) error {
	if s.given {
		// The note first: then no other process drops the template as unused. Of a missing database it is a warning.
		if err := s.noteUse(ctx, name); err != nil {
			return pgerr.Redact(err)
		}
		found, err := s.list(ctx, "SELECT datname FROM pg_database WHERE datname = $1", name)
		if err != nil {
			return pgerr.Redact(err)
		}
		if len(found) > 0 {
			return nil
		}
	}
	draft := s.newName()
	owner := ""
	if r.owned {
		owner = " OWNER " + tenantRole
	}
	if err := s.exec(ctx, "CREATE DATABASE "+quote(draft)+" TEMPLATE template0"+owner); err != nil {
		return pgerr.Redact(err)
	}
	err := s.finishTemplate(ctx, draft, name, r)
	if err == nil {
		return nil
	}
	if dropErr := s.drop(context.WithoutCancel(ctx), draft); dropErr != nil {
		err = errors.Join(err, pgerr.Redact(dropErr))
	}
	if pgerr.IsState(err, pgerr.DuplicateDatabase, pgerr.UniqueViolation) { // before this one, or at the same moment
		return nil
	}
	return err
}

func (s *server) finishTemplate(ctx context.Context, draft, name string, r recipe) error {
	if err := r.build(ctx, s.connConfig(draft)); err != nil {
		return err
	}
	// Without a session in it, a template can be copied at any time.
	if err := s.exec(ctx, "ALTER DATABASE "+quote(draft)+" ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	if err := s.noteUse(ctx, draft); err != nil {
		return err
	}
	return s.exec(ctx, "ALTER DATABASE "+quote(draft)+" RENAME TO "+quote(name))
}

// noteUse writes down when a template was last used, for sweepTemplates.
func (s *server) noteUse(ctx context.Context, name string) error {
	err := s.exec(ctx, fmt.Sprintf("COMMENT ON DATABASE %s IS 'used %d'", quote(name), time.Now().Unix()))
	if pgerr.IsState(err, pgerr.InternalError) { // another process writes it down at the same moment
		return nil
	}
	return err
}

// copy makes a database of this run from a template, and returns its name.
func (s *server) copy(ctx context.Context, template string, owned bool) (string, error) {
	name := s.newName()
	sql := "CREATE DATABASE " + quote(name) + " TEMPLATE " + quote(template)
	if owned {
		sql += " OWNER " + tenantRole
	}
	return name, s.exec(ctx, sql)
}

// tenantRecipe is the recipe of tenants' databases. schema may be nil.
func tenantRecipe(schema Schema, owned bool) recipe {
	r := recipe{owned: owned, build: func(ctx context.Context, cfg *pgx.ConnConfig) error {
		if owned {
			cfg.RuntimeParams["role"] = tenantRole
		} else if err := grantToTenants(ctx, cfg); err != nil {
			return pgerr.Redact(err)
		}
		if schema == nil {
			return nil
		}
		return schema.Build(ctx, cfg)
	}}
	if schema != nil {
		r.key = "schema " + schema.Hash()
	}
	return r
}

// grantToTenants gives the tenants' role what package provision gives a tenant's.
func grantToTenants(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, `
		REVOKE CREATE ON SCHEMA public FROM PUBLIC;
		ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO `+tenantRole+`;
		ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO `+tenantRole+`;
		ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO `+tenantRole).ReadAll()
	return err
}
