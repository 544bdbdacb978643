package registry

import (
	"context"
	"log/slog"
)

// outage logs the first of failures in a row, and the end of the row.
type outage struct {
	logger *slog.Logger
	what   string
	lasts  bool
}

// note records the result of a try. err must be redacted. A failure after ctx has ended does not count.
func (o *outage) note(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !o.lasts:
		o.logger.LogAttrs(ctx, slog.LevelWarn, "registry: "+o.what+" fails", slog.Any("error", err))
	case err == nil && o.lasts:
		o.logger.LogAttrs(ctx, slog.LevelInfo, "registry: "+o.what+" works again")
	}
	o.lasts = err != nil
}
