package accounts

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too: a profile shows its id and role.
func (p Profile) MarshalText() ([]byte, error) {
	return []byte("admin " + p.ID + " (" + p.Role + ")"), nil
}

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too: neither the e-mail nor the password is
// written.
func (SignIn) MarshalText() ([]byte, error) { return []byte("a sign-in"), nil }
