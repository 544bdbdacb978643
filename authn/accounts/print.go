package accounts

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too: a profile shows its id and role.
func (p Profile) MarshalText() ([]byte, error) {
	return []byte("admin " + p.ID + " (" + p.Role + ")"), nil
}

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too: neither the e-mail nor the password is
// written.
func (SignIn) MarshalText() ([]byte, error) { return []byte("a sign-in"), nil }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (Acceptance) MarshalText() ([]byte, error) { return []byte("an acceptance"), nil }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (Completion) MarshalText() ([]byte, error) { return []byte("a completion"), nil }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (Invite) MarshalText() ([]byte, error) { return []byte("an invite"), nil }
