package authn

import "context"

// Run runs kdf as a hash of h.
func (h *Hasher) Run(ctx context.Context, kdf func()) error { return h.run(ctx, kdf) }

// ParseHash parses encoded as Verify does. It returns what the hash prints as and the KiB and passes it would cost.
func ParseHash(encoded string) (printed string, memory, time uint32, err error) {
	h, err := parseHash(encoded)
	switch h := h.(type) {
	case argon2Hash:
		return h.String(), h.memory, h.time, err
	case bcryptHash:
		return string(h), 0, 0, err
	}
	return "", 0, 0, err
}

// Members is what headers and claims are read with.
func Members(data []byte) ([]string, error) { return members(data) }

// Revocations is how many revocations c keeps.
func (c *Cache) Revocations() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.revoked)
}
