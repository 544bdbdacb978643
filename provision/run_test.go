package provision_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
)

// watch is a log that hands on the first line with a text in it.
type watch struct {
	text string
	line chan string // has room for one
}

func (w watch) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(w.text)) {
		select {
		case w.line <- string(line):
		default:
		}
	}
	return len(line), nil
}

func TestRunWarnsOfWhatItCouldNotDo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	log := watch{"reconciled", make(chan string, 1)}
	broken := provision.SideEffect{
		Name: "billing",
		Do:   func(context.Context, provision.SideEffectInput) (string, error) { return "", errBroken },
		Undo: func(context.Context, provision.SideEffectInput) error { return errBroken },
	}
	p := f.provisioner(t, func(c *provision.Config) {
		c.Logger, c.SideEffects = logTo(log), []provision.SideEffect{broken}
	})
	if _, err := p.Create(t.Context(), request(t, "acme", "a@example.org")); err == nil {
		t.Fatal("no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	line := pgtest.Receive(t, "Run logs what it could not do", log.line)
	cancel()
	must(t, pgtest.Receive(t, "Run ends", ended))
	if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "acme") ||
		!strings.Contains(line, errBroken.Error()) {
		t.Errorf("logged: %s", line)
	}
}
