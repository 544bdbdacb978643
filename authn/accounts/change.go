package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// An admin is two rows, and a change of one is three steps: the registry decides, and writes the intent; the tenant's
// database gets its row; the intent goes. A process that dies in between leaves an intent that any process finishes.
const (
	stepDecide = "decide change"
	stepApply  = "apply change"
	stepEnd    = "end change"
)

const (
	// changeTTL is how long a process may work on a change before another takes it over, and applyTimeout how long its
	// write in the tenant's database may take: a late one must not come after that of another process.
	changeTTL    = 30 * time.Second
	applyTimeout = 10 * time.Second

	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// changeData is what an intent holds, sealed.
type changeData struct {
	Email        string `json:"email,omitempty"`
	FirstName    string `json:"firstName,omitempty"`
	LastName     string `json:"lastName,omitempty"`
	Role         string `json:"role,omitempty"`
	OldRole      string `json:"oldRole,omitempty"`
	PasswordHash string `json:"passwordHash,omitempty"`

	// OldHash and Leader are of a password that was changed at one tenant, the leader, and is to be changed at others: it
	// is if the leader's row does not have the old hash any more.
	OldHash string              `json:"oldHash,omitempty"`
	Leader  registry.Membership `json:"leader,omitzero"`
}

// newChange returns an intent of this process.
func (a *Accounts) newChange(kind catalog.ChangeKind, m registry.Membership, d changeData) *catalog.AdminChange {
	data, _ := json.Marshal(d) // strings always marshal
	return &catalog.AdminChange{
		Kind: kind, TenantID: tenancy.ID(strings.Clone(string(m.TenantID))), AdminID: strings.Clone(m.AdminID),
		Data: data, Owner: a.owner,
	}
}

// change has the registry decide on c, and finishes it. After an error of decide nothing was changed, unless the
// registry did not answer any more. After ErrUnfinished the change is decided and will be finished by Run.
func (a *Accounts) change(ctx context.Context, c *catalog.AdminChange, decide func(context.Context) error) error {
	err := a.step(ctx, stepDecide, func() error { return decide(ctx) })
	if errors.Is(err, registry.ErrConflict) { // an older change may have been left behind: it is this one's turn then
		if a.finishAbandoned(ctx, c.TenantID) == nil {
			err = a.step(ctx, stepDecide, func() error { return decide(ctx) })
		}
	}
	if err != nil {
		return err
	}
	return a.finish(ctx, c)
}

// finish does what the registry has decided on, also when the caller has gone.
func (a *Accounts) finish(ctx context.Context, c *catalog.AdminChange) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	err := a.step(ctx, stepApply, func() error { return a.apply(ctx, c) })
	if err == nil {
		err = a.step(ctx, stepEnd, func() error { return a.catalog.EndChange(ctx, c) })
	}
	m := registry.Membership{TenantID: c.TenantID, AdminID: c.AdminID}
	switch {
	case err == nil:
		a.log(ctx, slog.LevelInfo, "admin changed: "+string(c.Kind), m)
		return nil
	case errors.Is(err, catalog.ErrClaimLost): // another process finishes it
		return nil
	case errors.Is(err, errNotDecided):
		return a.catalog.WithdrawChange(ctx, c)
	case (c.Kind == catalog.ChangeAdd || c.Kind == catalog.ChangeRole) && isRefused(err):
		a.log(ctx, slog.LevelError, "the tenant's database refuses the admin's row", m)
		return errors.Join(err, a.undo(ctx, c))
	}
	a.log(ctx, slog.LevelWarn, "change of admin not finished: "+string(c.Kind), m)
	retry := min(firstRetry<<min(c.Attempt-1, 10), lastRetry)
	_ = a.catalog.ReleaseChange(ctx, c, retry) // at worst, the claim has to expire
	return fmt.Errorf("%w: %w", ErrUnfinished, err)
}

// undo takes back what the tenant's database cannot have.
func (a *Accounts) undo(ctx context.Context, c *catalog.AdminChange) error {
	if c.Kind == catalog.ChangeAdd {
		return a.catalog.UndoAdd(ctx, c)
	}
	var d changeData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return fmt.Errorf("accounts: change of admin %q: unreadable", c.AdminID)
	}
	return a.catalog.UndoRole(ctx, c, d.OldRole)
}

// isRefused reports whether a row can never be written as it is: a constraint forbids it.
func isRefused(err error) bool { return strings.HasPrefix(pgerr.State(err), "23") }

// apply brings the row in the tenant's database to what the registry has decided on, however often it is called.
func (a *Accounts) apply(ctx context.Context, c *catalog.AdminChange) error {
	var d changeData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return fmt.Errorf("accounts: change of admin %q: unreadable", c.AdminID)
	}
	if c.Kind == catalog.ChangePassword && d.OldHash != "" {
		return a.followLeader(ctx, c, d)
	}
	if c.Kind == catalog.ChangePassword {
		return a.applyPassword(ctx, c, d)
	}
	return a.cfg.Resolver.AcquireFunc(ctx, c.TenantID, func(ctx context.Context, db *pgxpool.Pool) error {
		if c.Kind == catalog.ChangeAdd {
			return pgerr.Redact(pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
				return a.cfg.Profiles.Insert(ctx, tx, Profile{
					ID: c.AdminID, Email: d.Email, FirstName: d.FirstName, LastName: d.LastName, Role: d.Role,
					PasswordHash: d.PasswordHash,
				})
			}))
		}
		editor, err := a.editor()
		if err != nil {
			return err
		}
		switch c.Kind {
		case catalog.ChangeRole:
			err = editor.SetRole(ctx, db, c.AdminID, d.Role)
		case catalog.ChangeEmail:
			err = editor.SetEmail(ctx, db, c.AdminID, d.Email)
		case catalog.ChangeRemove:
			err = editor.Delete(ctx, db, c.AdminID)
		default:
			err = fmt.Errorf("accounts: change of admin %q: unknown kind", c.AdminID)
		}
		if errors.Is(err, ErrProfileNotFound) { // the tenant has removed the row by itself
			return nil
		}
		return err
	})
}

// applyPassword replaces the hash in the tenant's row, whatever it is.
func (a *Accounts) applyPassword(ctx context.Context, c *catalog.AdminChange, d changeData) error {
	const tries = 5
	m := registry.Membership{TenantID: c.TenantID, AdminID: c.AdminID}
	for try := 1; ; try++ {
		profile, err := a.find(ctx, m)
		switch {
		case errors.Is(err, ErrProfileNotFound):
			return nil
		case err != nil:
			return err
		case profile.PasswordHash == d.PasswordHash:
			return nil
		}
		err = a.setTenantPassword(ctx, m, profile.PasswordHash, d.PasswordHash)
		if !errors.Is(err, ErrPasswordChanged) || try == tries {
			return err
		}
	}
}

// finishAbandoned finishes the changes that no process works on any more, of one tenant or (empty) of all.
func (a *Accounts) finishAbandoned(ctx context.Context, id tenancy.ID) error {
	const batch = 16
	claim := catalog.ChangeClaim{Owner: a.owner, TTL: changeTTL}
	var errs []error
	for ctx.Err() == nil {
		changes, err := a.catalog.ClaimChanges(ctx, id, claim, 1)
		errs = append(errs, err)
		if len(changes) == 0 || len(errs) > batch {
			break
		}
		errs = append(errs, a.finish(ctx, changes[0]))
	}
	return errors.Join(errs...)
}

// editor returns Config.Profiles as an editor of admins.
func (a *Accounts) editor() (ProfileEditor, error) {
	editor, ok := a.cfg.Profiles.(ProfileEditor)
	if !ok {
		return nil, fmt.Errorf("accounts: Config.Profiles: no ProfileEditor: %w", errors.ErrUnsupported)
	}
	return editor, nil
}

// step calls f between two points at which tests hurt the process.
func (a *Accounts) step(ctx context.Context, name string, f func() error) error {
	if err := a.cfg.failpoints.Before(ctx, name); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return a.cfg.failpoints.After(ctx, name)
}
