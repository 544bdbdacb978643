package tenancy

import "context"

type contextKey struct{}

// NewContext returns a copy of ctx that carries l. It does not release l when ctx ends: whoever acquired l still does.
func NewContext(ctx context.Context, l *Lease) context.Context {
	return context.WithValue(ctx, contextKey{}, l)
}

// MustFromContext is FromContext where there must be a lease: it panics without one. It is meant for handlers behind
// package middleware, which lets no request through without.
func MustFromContext(ctx context.Context) *Lease {
	l, ok := FromContext(ctx)
	if !ok {
		panic("tenancy: no lease in the context: is the route behind middleware's Handler or Tenant?")
	}
	return l
}

// FromContext returns the lease that ctx carries. The caller borrows it, and must not release it.
func FromContext(ctx context.Context) (*Lease, bool) {
	l, ok := ctx.Value(contextKey{}).(*Lease)
	return l, ok && l != nil
}
