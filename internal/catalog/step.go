package catalog

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Step is a side effect of a sign-up outside PostgreSQL, recorded so that the process that ends the sign-up can undo
// it. It prints its name and state only.
type Step struct {
	Name   string
	State  StepState
	Result string `json:"-"` // sealed at rest
}

// Format implements [fmt.Formatter]: under every verb a step shows its name and state.
func (s Step) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "step %s (%s)", s.Name, s.State) }

// LogValue implements [slog.LogValuer].
func (s Step) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", s.Name), slog.String("state", string(s.State)))
}

// StepState says how far a step came.
type StepState string

// The states of a step.
const (
	StepBegun  StepState = "begun"  // it may have happened, or not
	StepDone   StepState = "done"   // it happened
	StepUndone StepState = "undone" // it was taken back
)

// Steps returns the steps recorded for a tenant in the order in which they were begun; none if there is no such
// tenant. ctx governs the query.
func (cat *Catalog) Steps(ctx context.Context, id tenancy.ID) ([]Step, error) {
	rows, _ := cat.db.Pool.Query(ctx, `SELECT name, state, result FROM pgtenancy.steps WHERE tenant_id = $1
		ORDER BY begun_at, name`, id)
	steps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Step, err error) {
		var sealed []byte
		if err = row.Scan(&s.Name, &s.State, &sealed); err != nil {
			return s, err
		}
		result, err := cat.db.Open(ctx, sealed, "steps", stepRow(id, s.Name), "result")
		if err != nil {
			return s, regdb.Refuse(err)
		}
		s.Result = string(result)
		return s, nil
	})
	return steps, regdb.Redact(fmt.Sprintf("steps of tenant %q", id), err)
}

// PutStep records a step under a claim, or how far it came since it was recorded. ctx governs the statement.
func (cat *Catalog) PutStep(ctx context.Context, c *Claim, s Step) error {
	const sql = `
WITH held AS (
	UPDATE pgtenancy.tenants SET updated_at = now() WHERE ` + fence + ` RETURNING id
)
INSERT INTO pgtenancy.steps (tenant_id, name, state, result) SELECT id, $4, $5, $6 FROM held
ON CONFLICT (tenant_id, name) DO UPDATE
	SET state = excluded.state, result = excluded.result, updated_at = now()`
	switch s.State {
	case StepBegun, StepDone, StepUndone:
	default:
		return fmt.Errorf("registry: Step.State: must be begun, done or undone")
	}
	result, err := cat.db.Seal(ctx, []byte(s.Result), "steps", stepRow(c.Tenant.ID, s.Name), "result")
	if err != nil {
		return err
	}
	return cat.fenced(ctx, fmt.Sprintf("put step %q of", s.Name), sql, c, s.Name, s.State, result)
}

// stepRow identifies a step's row. An id has no slash.
func stepRow(id tenancy.ID, name string) string { return string(id) + "/" + name }
