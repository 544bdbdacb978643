package atlas

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

// CLIConfig says where a schema is written, and which atlas command upgrades databases to it.
type CLIConfig struct {
	Config

	// HCL says that the files are Atlas HCL. By default they are SQL.
	HCL bool

	// Binary is the atlas command: a path, or a name to be found in PATH. Default: "atlas".
	Binary string

	// Env is added to the command's environment: ATLAS_TOKEN, PGSSLROOTCERT. Of this process's own environment it sees
	// PATH only.
	Env map[string]string `json:"-"`
}

// CLI returns the schema that cfg describes, with upgrades made by the atlas command: for an edition of it that sees
// more than Atlas's open library does. An error names each field of cfg that is wrong; it is ErrNoBinary if there is no
// such command. CLI never falls back on the library.
//
// Build runs SQL files as SQL does. HCL files are applied by the command, with a scratch database that is made on the
// same server and dropped again; what the command thinks of words it does not know is up to the command.
//
// Upgrade has the command compare the target with the model. Before it does, the library classifies what it sees of the
// difference and refuses destructive changes as in SQL and HCL; drops that no policy allows are also skipped in the
// command's own settings. The command works in a transaction of its own, so Verify comes after its commit: an upgrade
// that fails there has changed the database. Config.Repeatable and Verify share a transaction. An advisory lock is held
// all the time.
//
// The command gets its URLs, which hold the password, in its environment and never as arguments, and a temporary
// directory for its home.
func CLI(cfg CLIConfig) (provision.Schema, error) {
	if cfg.Binary == "" {
		cfg.Binary = "atlas"
	}
	engine := "cli sql"
	if cfg.HCL {
		engine = "cli hcl"
	}
	src, err := cfg.read(engine)
	path, lookErr := exec.LookPath(cfg.Binary)
	if lookErr != nil {
		err = errors.Join(err, ErrNoBinary)
	}
	if err != nil {
		return nil, err
	}
	return &command{source: src, hcl: cfg.HCL, binary: path, env: maps.Clone(cfg.Env)}, nil
}

// command is a schema whose upgrades the atlas command makes.
type command struct {
	source
	hcl    bool
	binary string
	env    map[string]string
	models models
}

func (c *command) Hash() string { return c.hash }

func (c *command) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	if !c.hcl {
		return buildSQL(ctx, cfg, append(c.files[:len(c.files):len(c.files)], c.repeatable...))
	}
	err := withScratch(ctx, cfg, func(dev *pgx.ConnConfig) error {
		_, err := c.run(ctx, job{target: cfg, dev: dev, files: c.files})
		return err
	})
	if err != nil {
		return fmt.Errorf("atlas: build: %w", err)
	}
	return buildSQL(ctx, cfg, c.repeatable)
}

func (c *command) Upgrade(ctx context.Context, u provision.UpgradeInput) (*provision.Report, error) {
	report, err := c.upgrade(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("atlas: upgrade: %w", err)
	}
	return report, nil
}

func (c *command) upgrade(ctx context.Context, u provision.UpgradeInput) (*provision.Report, error) {
	if u.Verify == nil && !u.Policy.DryRun {
		return nil, errors.New("Upgrade.Verify: must be set")
	}
	want, err := c.models.get(ctx, u.Model)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	conn, err := lockDatabase(ctx, u.Target, u.Policy)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // releases the lock
	seen, err := compare(ctx, u, want)
	if err != nil {
		return nil, err
	}
	if err := refuse(seen.changes, u.Policy.Allow); err != nil {
		return nil, err
	}
	if !u.Policy.DryRun { // the command commits before Verify
		if err := unstamp(ctx, u); err != nil {
			return nil, err
		}
	}
	statements, err := c.run(ctx, job{target: u.Target, model: u.Model, policy: u.Policy})
	if err != nil {
		return nil, err
	}
	report := &provision.Report{Changes: append(seen.changes, seen.unseen(statements)...)}
	if u.Policy.DryRun {
		return report, nil
	}
	if err := c.finish(ctx, conn, u.Verify); err != nil {
		return nil, fmt.Errorf("after the atlas command's commit: %w", err)
	}
	report.Applied = true
	return report, nil
}

// compare classifies what the library sees of the upgrade.
func compare(ctx context.Context, u provision.UpgradeInput, want *model) (*plan, error) {
	s, err := begin(ctx, u.Target)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.plan(ctx, want, true)
}

// unseen returns the command's statements that the library had not planned.
func (p *plan) unseen(statements []string) []provision.Change {
	known := make(map[string]bool)
	for _, s := range p.statements {
		known[squeeze(s.Cmd)] = true
	}
	var changes []provision.Change
	for _, s := range statements {
		if !known[squeeze(s)] {
			changes = append(changes, provision.Change{Name: "statement of the atlas command", SQL: s})
		}
	}
	return changes
}

// squeeze makes statements comparable that are broken into lines in another way.
func squeeze(s string) string { return strings.TrimSuffix(strings.Join(strings.Fields(s), ""), ";") }

// finish runs the companions and Verify in one transaction.
func (c *command) finish(ctx context.Context, conn *pgx.Conn, verify func(context.Context, *pgx.Conn) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return redact(ctx, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := runFiles(ctx, conn, c.repeatable); err != nil {
		return err
	}
	if err := verify(ctx, conn); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return redact(ctx, tx.Commit(ctx))
}
