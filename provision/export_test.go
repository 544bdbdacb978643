package provision

import (
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Redact is redact.
func Redact(err error) error { return redact(err) }

// Redirect is redirect.
func Redirect(cfg *pgconn.Config, host string, port uint16) { redirect(cfg, host, port) }

// ParseMark is parseMark.
func ParseMark(comment string) (tenant tenancy.ID, epoch int64, ok bool) {
	m, ok := parseMark(comment)
	return m.Tenant, m.Epoch, ok
}

// MarkLiteral is what COMMENT … IS takes for a tenant.
func MarkLiteral(tenant tenancy.ID, epoch int64) string {
	return mark{Version: 1, Tenant: tenant, Epoch: epoch}.literal()
}
