package registry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// hanging is a key service that does not answer.
type hanging struct{}

func (hanging) Seal(ctx context.Context, _ []byte, _ string) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (h hanging) Open(ctx context.Context, _ []byte, _ string) ([]byte, error) {
	return h.Seal(ctx, nil, "")
}

func (hanging) Current([]byte) bool { return true }

// TestKeyServiceThatHangsIsWaitedForTenSeconds guards the reconciler and the survey, whose context does not end.
func TestKeyServiceThatHangsIsWaitedForTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg, err := pgxpool.ParseConfig("host=192.0.2.1") // is not dialled
		must(t, err)
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		must(t, err)
		defer pool.Close()
		ring, err := keyring.New(keyring.Config{Index: []keyring.Key{key(1)}, Sealer: hanging{}})
		must(t, err)
		r, err := registry.New(registry.Config{Pool: pool, Keyring: ring, Secrets: map[string]registry.SecretSource{
			"vault": func(ctx context.Context, _ string) (tenancy.Secret, error) {
				<-ctx.Done()
				return tenancy.Secret{}, ctx.Err()
			},
		}})
		must(t, err)
		for what, ask := range map[string]func() error{
			"seal": func() error {
				_, _, err := catalog.Of(r).OpenSession(t.Context(), catalog.SessionRequest{
					TenantID: "acme", AdminID: "admin",
					TTL: time.Hour,
				})
				return err
			},
			"secret": func() error { return r.SetPasswordRef(t.Context(), "acme", "vault:acme") },
		} {
			start := time.Now()
			if err := ask(); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
				t.Errorf("%s: %v after %v, want the deadline after 10 s", what, err, time.Since(start))
			}
		}
	})
}
