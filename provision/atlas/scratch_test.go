package atlas_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
)

func TestAttackerDoesNotGetIntoTheScratchDatabase(t *testing.T) {
	t.Parallel()
	admin := pgtest.Admin(t)
	script(t, admin, "CREATE ROLE scratch_stranger LOGIN PASSWORD 'pw'")
	t.Cleanup(func() {
		conn, err := pgx.ConnectConfig(context.WithoutCancel(t.Context()), admin)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		if _, err := conn.Exec(context.WithoutCancel(t.Context()), "DROP ROLE scratch_stranger"); err != nil {
			t.Error(err)
		}
	})
	err := atlas.WithScratch(t.Context(), admin, func(dev *pgx.ConnConfig) error {
		cfg := dev.Copy()
		cfg.User, cfg.Password = "scratch_stranger", "pw"
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		if !pgerr.IsState(err, pgerr.InsufficientPrivilege) {
			t.Errorf("a stranger's role: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
