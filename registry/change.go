package registry

import "github.com/pgtenancy/pgtenancy/tenancy"

// change is one row of the feed.
type change struct {
	version int64
	tenant  tenancy.ID
	epoch   int64  // 0: the record is the same; what connections remember of the tenant's database is out of date
	session string // not empty: this session was closed, and that is all
	at      int64  // Unix time, in µs
}

// tell passes c on to whom it concerns.
func (c change) tell(inv Invalidator) {
	if c.session != "" {
		if r, ok := inv.(Revoker); ok {
			r.Revoke(c.session)
		}
		return
	}
	if r, ok := inv.(Renewer); ok && c.epoch == 0 {
		r.Renew(c.tenant)
		return
	}
	inv.Invalidate(c.tenant, c.epoch)
}
