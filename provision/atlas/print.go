package atlas

import (
	"fmt"
	"io"
	"log/slog"
)

// Format implements [fmt.Formatter]: Env, which may hold a token, is not printed.
func (c CLIConfig) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.text()) }

// LogValue implements [slog.LogValuer].
func (c CLIConfig) LogValue() slog.Value { return slog.StringValue(c.text()) }

func (c CLIConfig) text() string { return fmt.Sprintf("configuration of the command %q", c.Binary) }
