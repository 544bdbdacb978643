package provision

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// Schema is the schema of tenant databases. Package provision/atlas makes them from SQL and HCL.
type Schema interface {
	// Hash names the schema: equal hashes mean equal schemas. Lower-case hex, 32 digits, the same at every call.
	Hash() string

	// Build makes the schema in the empty database that cfg connects to. It makes and closes its own connections. By
	// default privileges of cfg's role, the role "<prefix>_tenant", to which the roles of all tenants belong, may read
	// and write the tables and use the sequences and schemas that Build makes; a REVOKE in Build holds.
	Build(ctx context.Context, cfg *pgx.ConnConfig) error

	// Upgrade brings a tenant's database to the schema.
	Upgrade(ctx context.Context, u UpgradeInput) (*Report, error)
}

// UpgradeInput is what [Schema.Upgrade] works on. Connect with the configurations themselves, or make a string of their
// fields: their ConnString leads nowhere.
type UpgradeInput struct {
	Target *pgx.ConnConfig // the tenant's database
	Model  *pgx.ConnConfig // a scratch database that has exactly the wanted schema
	Policy Policy          // its time-outs are set

	// Verify must be called once, after the changes and before their commit, on the connection that made them; on an
	// error the changes must be rolled back. A schema engine that cannot do so (an external program) calls it after.
	// With Policy.DryRun it need not be called.
	Verify func(ctx context.Context, conn *pgx.Conn) error

	// Unstamp must be called before each commit that comes before Verify: from then on the database may not have the
	// schema of its stamp. It may be called again, and may be nil.
	Unstamp func(ctx context.Context) error
}

// Policy says what an upgrade may do.
type Policy struct {
	// Allow names the destructive changes that may be made, as Change.Name spells them: "drop table members",
	// "drop column members.nick". Everything destructive that is not named is refused with *DestructiveError.
	Allow []string

	// LockTimeout bounds how long a change waits for a lock. Default: 3 s.
	LockTimeout time.Duration

	// StatementTimeout bounds each statement. Default: 5 min.
	StatementTimeout time.Duration

	// DryRun plans and reports, and changes nothing.
	DryRun bool

	// Force looks at the database even if its stamp says that it has the schema.
	Force bool
}

func (p Policy) withDefaults() Policy {
	if p.LockTimeout == 0 {
		p.LockTimeout = 3 * time.Second
	}
	if p.StatementTimeout == 0 {
		p.StatementTimeout = 5 * time.Minute
	}
	return p
}

// Report says what an upgrade did, or would do.
type Report struct {
	Changes []Change
	Applied bool
}

// Change is one change of a plan.
type Change struct {
	Name        string // "add column members.nick", "drop table members"
	SQL         string
	Destructive bool
}

// Format implements [fmt.Formatter]: an upgrade shows the name of its database.
func (u UpgradeInput) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.text()) }

// LogValue implements [slog.LogValuer].
func (u UpgradeInput) LogValue() slog.Value { return slog.StringValue(u.text()) }

func (u UpgradeInput) text() string {
	if u.Target == nil {
		return "upgrade"
	}
	return fmt.Sprintf("upgrade of database %q", u.Target.Database)
}
