package tenancy

import (
	"fmt"
	"log/slog"
	"unique"
)

const redacted = "[redacted]"

// Secret is a password or token that does not print. Under every fmt verb, in slog and in JSON it reads "[redacted]";
// only [Secret.Reveal] returns it. Secrets are equal (==) if they hold the same string. The zero Secret is empty.
type Secret struct {
	// A handle, because fmt cannot call Format on a Secret in an unexported field: there it prints a pointer.
	value unique.Handle[string]
}

// NewSecret returns s as a Secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{value: unique.Make(s)}
}

// Reveal returns the secret itself. The caller must keep it out of logs and errors.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.value.Value()
}

// IsZero reports whether s is empty.
func (s Secret) IsZero() bool { return s == Secret{} }

// Equal reports whether s and other hold the same string, as == does. Packages that compare by reflection call it.
func (s Secret) Equal(other Secret) bool { return s == other }

// Format implements [fmt.Formatter]: every verb and flag prints "[redacted]".
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements [fmt.Stringer].
func (Secret) String() string { return redacted }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
