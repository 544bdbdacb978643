package provision_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgtenancy/pgtenancy/provision"
)

func TestRedirectKeepsTLSAndItsFallbackOnTheNewHost(t *testing.T) {
	t.Parallel()
	cfg, err := pgconn.ParseConfig("host=old,elsewhere port=5432,5433 user=ann sslmode=prefer")
	must(t, err)
	verify, err := pgconn.ParseConfig("host=old user=ann sslmode=verify-full")
	must(t, err)
	provision.Redirect(cfg, "new", 6000)
	provision.Redirect(verify, "new", 6000)
	var targets []string
	for _, f := range cfg.Fallbacks {
		targets = append(targets, fmt.Sprintf("%s:%d %v", f.Host, f.Port, f.TLSConfig != nil))
	}
	if got := fmt.Sprintf("%s:%d %v", cfg.Host, cfg.Port, targets); got != "new:6000 [new:6000 false]" {
		t.Error(got)
	}
	if verify.TLSConfig.ServerName != "new" {
		t.Errorf("certificate of %q is verified", verify.TLSConfig.ServerName)
	}
}
