package provision

import (
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
)

// Redact is redact.
func Redact(err error) error { return redact(err) }

// Redirect is redirect.
func Redirect(cfg *pgconn.Config, host string, port uint16) { redirect(cfg, host, port) }

// Grants is grants.
func Grants(role string) string { return grants(role) }

// FingerprintQueries is fingerprintQueries.
func FingerprintQueries(major int) []string { return fingerprintQueries(major) }

// MajorVersion is majorVersion.
func MajorVersion(version string) int { return majorVersion(version) }

// SetFailpoints sets where and how tests hurt what c configures.
func (c *Config) SetFailpoints(s *failpoint.Set) { c.failpoints = s }
