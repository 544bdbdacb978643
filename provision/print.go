package provision

import (
	"fmt"
	"io"
	"log/slog"
)

// What follows prints names alone, under every verb and in a log: fmt goes through a pointer to a connection's
// configuration for some verbs, and finds the password there.

// Format implements [fmt.Formatter]: a configuration shows its prefix.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.text()) }

// LogValue implements [slog.LogValuer].
func (c Config) LogValue() slog.Value { return slog.StringValue(c.text()) }

func (c Config) text() string { return fmt.Sprintf("configuration of a provisioner of %q", c.Prefix) }

// Format implements [fmt.Formatter]: a provisioner shows its prefix.
func (p *Provisioner) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "provisioner of %q", p.names.prefix)
}

// Format implements [fmt.Formatter]: a request shows its tenant's id.
func (r Request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.text()) }

// LogValue implements [slog.LogValuer].
func (r Request) LogValue() slog.Value { return slog.StringValue(r.text()) }

func (r Request) text() string { return fmt.Sprintf("request of tenant %q", string(r.ID)) }

// Format implements [fmt.Formatter]: a seed, and a side effect's input, shows its tenant's id.
func (s Seed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.text()) }

// LogValue implements [slog.LogValuer].
func (s Seed) LogValue() slog.Value { return slog.StringValue(s.text()) }

func (s Seed) text() string { return fmt.Sprintf("seed of tenant %q", string(s.Tenant.ID)) }

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

// Format implements [fmt.Formatter]: it prints what Error returns.
func (e PanicError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// LogValue implements [slog.LogValuer].
func (e PanicError) LogValue() slog.Value { return slog.StringValue(e.Error()) }
