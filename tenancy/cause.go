package tenancy

// Cause says why a pool was evicted.
type Cause int

// The causes.
const (
	CauseIdle     Cause = iota // nobody leased it for IdleTimeout
	CauseCapacity              // another tenant needed its room
	CauseExplicit              // Evict was called
	CauseChanged               // the tenant's record changed, or Invalidate was called
	CauseClosed                // the resolver was closed

	causes = iota
)

// String returns the cause in lower case: idle, capacity, explicit, changed or closed.
func (c Cause) String() string {
	if c < 0 || c >= causes {
		return "unknown"
	}
	return [causes]string{"idle", "capacity", "explicit", "changed", "closed"}[c]
}
