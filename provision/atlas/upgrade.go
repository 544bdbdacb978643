package atlas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

// declarative is a schema whose upgrades are computed: the difference between a database and another that has the
// schema.
type declarative struct {
	source
	build  func(ctx context.Context, cfg *pgx.ConnConfig) error
	models models
}

func (d *declarative) Hash() string { return d.hash }

func (d *declarative) Build(ctx context.Context, cfg *pgx.ConnConfig) error { return d.build(ctx, cfg) }

// Upgrade plans and makes the changes in one transaction of the target. See provision.Schema.
func (d *declarative) Upgrade(ctx context.Context, u provision.UpgradeInput) (*provision.Report, error) {
	report, err := d.upgrade(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("atlas: upgrade: %w", err)
	}
	return report, nil
}

func (d *declarative) upgrade(ctx context.Context, u provision.UpgradeInput) (*provision.Report, error) {
	if u.Verify == nil && !u.Policy.DryRun {
		return nil, errors.New("Upgrade.Verify: must be set")
	}
	want, err := d.models.get(ctx, u.Model)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	s, err := begin(ctx, u.Target)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.lock(ctx, u.Policy); err != nil {
		return nil, fmt.Errorf("lock: %w", redact(ctx, err))
	}
	plan, err := s.plan(ctx, want, len(d.repeatable) > 0)
	if err != nil {
		return nil, err
	}
	report := &provision.Report{Changes: plan.changes}
	if err := refuse(plan.changes, u.Policy.Allow); err != nil {
		return nil, err
	}
	if u.Policy.DryRun {
		return report, nil
	}
	if err := s.apply(ctx, plan, d.repeatable, u.Verify); err != nil {
		return nil, err
	}
	report.Applied = true
	return report, nil
}

// plan is what brings a database to a model.
type plan struct {
	changes    []provision.Change
	statements []*migrate.Change
}

// plan compares the session's database with want. Without companion files, objects that Atlas cannot change are an
// error.
func (s *session) plan(ctx context.Context, want *model, companions bool) (*plan, error) {
	driver, have, err := s.inspect(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", redact(ctx, err))
	}
	if !companions {
		if err := s.supported(ctx, want.fingerprint); err != nil {
			return nil, err
		}
	}
	// Not the driver's own comparison: that one runs SELECT a = b for two defaults that are spelled differently, and an
	// error of that query would end the transaction. Both sides are as PostgreSQL prints them, so spelling decides.
	changes, err := postgres.DefaultDiff.SchemaDiff(have, want.schema, schema.DiffNormalized())
	if err != nil {
		return nil, fmt.Errorf("plan: %w", redact(ctx, err))
	}
	p := &plan{changes: describe(ctx, driver, changes)}
	planned, err := driver.PlanChanges(ctx, "upgrade", changes)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", redact(ctx, err))
	}
	p.statements = planned.Changes
	return p, nil
}

// refuse returns a *provision.DestructiveError if changes has destructive ones that allow does not name, with a word on
// renames where there may be one.
func refuse(changes []provision.Change, allow []string) error {
	var refused []provision.Change
	for _, c := range changes {
		if c.Destructive && (isUnknown(c) || !slices.Contains(allow, c.Name)) {
			refused = append(refused, c)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	err := error(&provision.DestructiveError{Changes: refused})
	for _, kind := range []string{"table", "column"} {
		if old, renamed := mayBeRenamed(kind, refused, changes); renamed {
			err = fmt.Errorf("%w (if %s is to be renamed: that looks like a drop and an add; rename it in each database, with "+
				"Migrations, or add, copy and drop in three releases)", err, old)
		}
	}
	return err
}

// mayBeRenamed finds what goes while another of its kind comes, to the same table if it is a column.
func mayBeRenamed(kind string, refused, changes []provision.Change) (old string, ok bool) {
	place := func(name string) string { return name[:strings.LastIndex(name, ".")+1] }
	for _, gone := range refused {
		old, dropped := strings.CutPrefix(gone.Name, "drop "+kind+" ")
		for _, c := range changes {
			if added, ok := strings.CutPrefix(c.Name, "add "+kind+" "); ok && dropped &&
				(kind == "table" || place(added) == place(old)) {
				return old, true
			}
		}
	}
	return "", false
}

// apply runs the plan and the companions, has the result verified, and commits.
func (s *session) apply(
	ctx context.Context, p *plan, companions []file, verify func(context.Context, *pgx.Conn) error,
) error {
	for i, c := range p.statements {
		if _, err := s.tx.ExecContext(ctx, c.Cmd, c.Args...); err != nil {
			return fmt.Errorf("statement %d of %d (%s): %w", i+1, len(p.statements), c.Comment, redact(ctx, err))
		}
	}
	err := s.pgx(func(conn *pgx.Conn) error {
		if len(companions) > 0 {
			if err := runFiles(ctx, conn, companions); err != nil {
				return err
			}
		}
		if err := verify(ctx, conn); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// What was deferred to the commit is the schema's own, and sees the path that its author saw.
	if _, err := s.tx.ExecContext(ctx, unpin); err != nil {
		return fmt.Errorf("commit: %w", redact(ctx, err))
	}
	if err := s.tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", redact(ctx, err))
	}
	return nil
}
