package registry

// Normalized is what identity is decided by.
func (e Email) Normalized() string { return e.identity() }
