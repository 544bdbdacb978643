package atlas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

// MigrationsConfig says where the versioned files of a schema are.
type MigrationsConfig struct {
	// FS is where Dir is found. An embed.FS or os.DirFS fits.
	FS fs.FS

	// Dir is a directory in Atlas's format: files "<version>_<name>.sql" and atlas.sum. Default: ".".
	Dir string

	// Baseline is the version that a database without revisions is taken to have, if other means have built it:
	// the files up to that one are recorded and not run. Default: such a database is refused with ErrNoRevisions.
	Baseline string
}

// Migrations returns the schema that the files of a directory make, one after the other. The files are read and checked
// now, against atlas.sum too; an error names each field of cfg, and each file, that is wrong.
//
// Build runs all of them in an empty database. Upgrade runs those that the target has not had, in the order of their
// versions. Which it has had is in its table pgtenancy.revisions, together with a digest of each: an [HistoryError] is
// returned, and nothing is run, if a file was edited or removed after it ran, or if one was added before it. Before
// anything is run, the library compares the target with the model, and refuses what would go as in SQL and HCL: also a
// rename, which a file can make, has to be allowed as the drop that it looks like. Tables of other schemas than public
// are not compared.
//
// A file is run in a transaction of its own, in which its revision is written, and sees the settings of a new session.
// Verify is called in that of the last one, before its commit: an upgrade that fails there or earlier keeps the files
// before it, and goes on with the next try. A file that begins with the line "-- atlas:txmode none" and an empty line
// is run statement by statement without a transaction, as CREATE INDEX CONCURRENTLY demands. If the process dies
// between such a statement and its record, the next try runs it again: let it bear that. Verify comes after such a
// file.
//
// Of Atlas's other directives nolint is passed over, and the rest refused.
func Migrations(cfg MigrationsConfig) (provision.Schema, error) {
	if cfg.Dir == "" {
		cfg.Dir = "."
	}
	if cfg.FS == nil {
		return nil, errors.New("atlas: MigrationsConfig.FS: must be set")
	}
	list, err := readMigrations(cfg.FS, cfg.Dir)
	if err != nil {
		return nil, err
	}
	m := &migrations{list: list, baseline: -1}
	for i, f := range list {
		if f.version == cfg.Baseline {
			m.baseline = i
		}
	}
	if cfg.Baseline != "" && m.baseline < 0 {
		return nil, fmt.Errorf("atlas: MigrationsConfig.Baseline: there is no version %q", cfg.Baseline)
	}
	return m, nil
}

// migrations is a schema that is made by its history.
type migrations struct {
	list     []migration
	baseline int // index of the file that Baseline names, or -1
	models   models
}

// Hash is of the files' versions, contents and order: a revision has the version and the digest of the content.
func (m *migrations) Hash() string {
	files := make([]file, len(m.list))
	for i, f := range m.list {
		files[i] = file{text: f.version + "\n" + f.text}
	}
	return hash("migrations", files, nil)
}

func (m *migrations) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	err := m.build(ctx, cfg)
	if err != nil {
		return fmt.Errorf("atlas: build: %w", err)
	}
	return nil
}

func (m *migrations) build(ctx context.Context, cfg *pgx.ConnConfig) error {
	r, err := openRun(ctx, cfg, provision.Policy{})
	if err != nil {
		return err
	}
	defer r.close(ctx)
	if err := r.transact(ctx, r.createRevisions); err != nil {
		return fmt.Errorf("revisions: %w", redact(ctx, err))
	}
	return r.apply(ctx, m.list, func(context.Context, *pgx.Conn) error { return nil })
}

func (m *migrations) Upgrade(ctx context.Context, u provision.UpgradeInput) (*provision.Report, error) {
	report, err := m.upgrade(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("atlas: upgrade: %w", err)
	}
	return report, nil
}

func (m *migrations) upgrade(ctx context.Context, u provision.UpgradeInput) (*provision.Report, error) {
	if u.Verify == nil && !u.Policy.DryRun {
		return nil, errors.New("Upgrade.Verify: must be set")
	}
	r, err := openRun(ctx, u.Target, u.Policy)
	if err != nil {
		return nil, err
	}
	defer r.close(ctx)
	pending, err := m.pending(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(pending) > 0 {
		if err := m.judge(ctx, u); err != nil {
			return nil, err
		}
	}
	report := &provision.Report{}
	for _, f := range pending {
		report.Changes = append(report.Changes, provision.Change{Name: "migration " + f.name, SQL: f.text})
	}
	if u.Policy.DryRun {
		return report, nil
	}
	if err := m.adopt(ctx, r, u); err != nil {
		return nil, err
	}
	if len(pending) > 1 || len(pending) == 1 && pending[0].statements != nil {
		if err := unstamp(ctx, u); err != nil {
			return nil, err
		}
	}
	if err := r.apply(ctx, pending, u.Verify); err != nil {
		return nil, err
	}
	report.Applied = true
	return report, nil
}

// judge refuses what the policy does not allow of the difference between target and model, as the library sees it.
// Files can make changes that the library cannot, so that its unknown ones are allowed by name like the rest.
func (m *migrations) judge(ctx context.Context, u provision.UpgradeInput) error {
	want, err := m.models.get(ctx, u.Model)
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	seen, err := compare(ctx, u, want)
	if err != nil {
		return err
	}
	allowed := func(c provision.Change) bool { return slices.Contains(u.Policy.Allow, c.Name) }
	return refuse(slices.DeleteFunc(seen.changes, allowed), nil)
}

// pending are the files that have not run in the database, or only in part.
func (m *migrations) pending(ctx context.Context, r *run) ([]migration, error) {
	have, err := r.revisions(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case have == nil && m.baseline < 0:
		return nil, ErrNoRevisions
	case have == nil:
		return m.list[m.baseline+1:], nil
	}
	return compareHistory(m.list, have)
}

// adopt records the files up to the baseline in a database that has no revisions.
func (m *migrations) adopt(ctx context.Context, r *run, u provision.UpgradeInput) error {
	have, err := r.revisions(ctx)
	if err != nil || have != nil {
		return err
	}
	if err := unstamp(ctx, u); err != nil {
		return err
	}
	return r.transact(ctx, func(ctx context.Context) error {
		if err := r.createRevisions(ctx); err != nil {
			return fmt.Errorf("revisions: %w", redact(ctx, err))
		}
		for _, f := range m.list[:m.baseline+1] {
			if err := r.record(ctx, f.complete()); err != nil {
				return err
			}
		}
		return nil
	})
}

// unstamp takes the stamp before a commit that Verify has not seen.
func unstamp(ctx context.Context, u provision.UpgradeInput) error {
	if u.Unstamp == nil {
		return nil
	}
	if err := u.Unstamp(ctx); err != nil {
		return fmt.Errorf("unstamp: %w", err)
	}
	return nil
}
