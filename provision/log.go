package provision

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ended counts a step and writes its line. err is redacted.
func (p *Provisioner) ended(ctx context.Context, claim *catalog.Claim, step string, took time.Duration, err error) {
	p.figures.count(step, took, err)
	p.logStep(ctx, claim, step, took, err)
}

// logStep writes the line of one step. err is redacted. A panic's stack is logged, its value is not.
func (p *Provisioner) logStep(ctx context.Context, claim *catalog.Claim, step string, took time.Duration, err error) {
	attrs := []slog.Attr{
		slog.String("tenant", string(claim.Tenant.ID)),
		slog.String("server", claim.Tenant.Server.Name),
		slog.Int64("attempt", claim.Attempt),
		slog.String("step", step),
		slog.Duration("took", took),
	}
	if err == nil {
		p.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "provision: step done", attrs...)
		return
	}
	attrs = append(attrs, slog.String("error", err.Error()))
	if pe := (*PanicError)(nil); errors.As(err, &pe) {
		attrs = append(attrs, slog.String("stack", string(pe.Stack)))
	}
	p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "provision: step failed", attrs...)
}

// logError writes what cannot be returned to anybody.
func (p *Provisioner) logError(ctx context.Context, message string, id tenancy.ID, err error) {
	p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "provision: "+message,
		slog.String("tenant", string(id)), slog.String("error", pgerr.Redact(err).Error()))
}
