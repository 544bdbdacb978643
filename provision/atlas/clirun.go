package atlas

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"ariga.io/atlas-go-sdk/atlasexec"
	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
)

// job is one run of the atlas command: the target is brought to the model, or to what files say.
type job struct {
	target, model, dev *pgx.ConnConfig
	files              []file
	policy             provision.Policy
}

// CommandError says that the atlas command failed. What it wrote is not part of the message: it may quote row values.
type CommandError struct {
	ExitCode int
	Output   string // what the command wrote, without passwords
}

// Error tells the exit code.
func (e *CommandError) Error() string {
	return fmt.Sprintf("atlas command failed: exit status %d", e.ExitCode)
}

// The settings of a run. What differs between databases comes from the environment, because arguments can be seen by
// every user of the machine.
const (
	urlVariable = "PGTENANCY_ATLAS_URL"
	srcVariable = "PGTENANCY_ATLAS_SRC"
	devVariable = "PGTENANCY_ATLAS_DEV"
	envName     = "pgtenancy"
)

// settings is the project file of a run.
func (j job) settings() string {
	var b strings.Builder
	fmt.Fprintf(&b, "env %q {\n", envName)
	fmt.Fprintf(&b, "  url = getenv(%q)\n  src = getenv(%q)\n", urlVariable, srcVariable)
	if j.dev != nil {
		fmt.Fprintf(&b, "  dev = getenv(%q)\n", devVariable)
	}
	b.WriteString("  diff {\n    skip {\n      drop_schema = true\n")
	// A policy allows single objects; the command can only be told kinds. Which objects is judged before it runs.
	for _, kind := range []string{"drop table", "drop column", "drop foreign key"} {
		if !allows(j.policy, kind) {
			fmt.Fprintf(&b, "      %s = true\n", strings.ReplaceAll(kind, " ", "_"))
		}
	}
	b.WriteString("    }\n  }\n}\n")
	return b.String()
}

func allows(p provision.Policy, kind string) bool {
	for _, name := range p.Allow {
		if strings.HasPrefix(name, kind+" ") {
			return true
		}
	}
	return false
}

// run starts the command in a directory of its own, which is gone afterwards, and returns the statements that it ran
// or, with Policy.DryRun, would run. When ctx ends the command is killed, and PostgreSQL rolls its transaction back.
func (c *command) run(ctx context.Context, j job) (statements []string, err error) {
	dir, err := os.MkdirTemp("", "pgtenancy-atlas-")
	if err != nil {
		return nil, fmt.Errorf("atlas command: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	env, err := c.prepare(dir, j)
	if err != nil {
		return nil, fmt.Errorf("atlas command: %w", err)
	}
	client, err := atlasexec.NewClient(dir, c.binary)
	if err != nil {
		return nil, ErrNoBinary // it was there when the schema was made
	}
	if err := client.SetEnv(env); err != nil {
		return nil, fmt.Errorf("atlas command: %w", err)
	}
	result, err := client.SchemaApply(ctx, &atlasexec.SchemaApplyParams{
		ConfigURL: "file://" + filepath.Join(dir, "atlas.hcl"), Env: envName,
		Schema: []string{public}, DryRun: j.policy.DryRun, AutoApprove: !j.policy.DryRun,
	})
	switch {
	case err != nil:
		return nil, commandError(ctx, err, j)
	case result.Error != "":
		return nil, &CommandError{Output: j.withoutPasswords(result.Error)}
	case j.policy.DryRun:
		return result.Changes.Pending, nil
	}
	return result.Changes.Applied, nil
}

// prepare writes the files of a run into dir and returns the command's environment.
func (c *command) prepare(dir string, j job) (map[string]string, error) {
	env := map[string]string{"PATH": os.Getenv("PATH")}
	maps.Copy(env, c.env)
	env["HOME"] = dir // the command writes there
	env[urlVariable] = databaseURL(j.target, j.policy)
	if j.dev != nil {
		env[devVariable] = databaseURL(j.dev, j.policy)
	}
	if j.model != nil {
		env[srcVariable] = databaseURL(j.model, j.policy)
	} else {
		path := filepath.Join(dir, "schema.hcl")
		env[srcVariable] = "file://" + path
		var text strings.Builder
		for _, f := range j.files {
			text.WriteString(f.text + "\n")
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			return nil, err
		}
	}
	return env, os.WriteFile(filepath.Join(dir, "atlas.hcl"), []byte(j.settings()), 0o600)
}

func commandError(ctx context.Context, err error, j job) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	failed := &CommandError{ExitCode: 1, Output: j.withoutPasswords(err.Error())}
	if run := (*atlasexec.Error)(nil); errors.As(err, &run) {
		failed.ExitCode = run.ExitCode()
	}
	return failed
}

// withoutPasswords takes the databases' passwords out of what the command wrote: it may have quoted its URLs.
func (j job) withoutPasswords(s string) string {
	for _, cfg := range []*pgx.ConnConfig{j.target, j.model, j.dev} {
		if cfg != nil && cfg.Password != "" {
			s = strings.ReplaceAll(s, databaseURL(cfg, j.policy), "postgres://…")
			s = strings.ReplaceAll(s, url.UserPassword("", cfg.Password).String(), ":…")
			s = strings.ReplaceAll(s, cfg.Password, "…")
		}
	}
	return s
}
