package tenancy

import "context"

// Directory turns an ID into what is known of the tenant.
//
// Lookup returns an error that matches [ErrNotFound] if and only if there is surely no such tenant: that answer is
// cached. Any other error means that the directory could not say, and is never cached. ctx bounds the look-up. Lookup
// is called from many goroutines, at most once at a time for one ID.
type Directory interface {
	Lookup(ctx context.Context, id ID) (Tenant, error)
}

// DirectoryFunc makes a function a [Directory].
type DirectoryFunc func(ctx context.Context, id ID) (Tenant, error)

// Lookup calls f.
func (f DirectoryFunc) Lookup(ctx context.Context, id ID) (Tenant, error) { return f(ctx, id) }
