package provision_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
)

func ExampleNew() {
	_, err := provision.New(provision.Config{Prefix: "Tenant-"})
	fmt.Println(err)
	// Output:
	// provision: Config.Registry: required
	// provision: Config.Admin: required
	// provision: Config.Schema: required
	// provision: Config.Prefix: must be a lower-case letter and up to 20 letters, digits or "_", and not begin with "pg_"
}

// A program makes one Provisioner and runs it for as long as it lives: Run ends what failed sign-ups leave.
func ExampleProvisioner_Run() {
	start := func(ctx context.Context, reg *registry.Registry, schema provision.Schema) (*provision.Provisioner, error) {
		admin, err := pgx.ParseConfig("user=provisioner dbname=postgres sslmode=verify-full")
		if err != nil {
			return nil, err
		}
		p, err := provision.New(provision.Config{
			Registry: reg, Admin: admin, Schema: schema, Logger: slog.Default(),
			Seed: func(ctx context.Context, tx pgx.Tx, s provision.Seed) error {
				_, err := tx.Exec(ctx, "INSERT INTO admins (id) VALUES ($1) ON CONFLICT DO NOTHING", s.Admin.ID)
				return err
			},
		})
		if err != nil {
			return nil, err
		}
		go func() {
			if err := p.Run(ctx); err != nil { // until ctx, the program's own, ends
				slog.Error("provisioner ended", "error", err)
			}
		}()
		return p, nil
	}
	_ = start
}

// A handler signs a tenant up with the program's Provisioner.
func ExampleProvisioner_Create() {
	signUp := func(ctx context.Context, p *provision.Provisioner, name, email string) (status int) {
		address, err := registry.ParseEmail(email)
		if err != nil {
			return http.StatusUnprocessableEntity
		}
		_, err = p.Create(ctx, provision.Request{
			Organization: registry.Organization{Name: name, Email: address},
			Admin:        registry.Admin{Email: address},
		})
		switch {
		case errors.Is(err, registry.ErrEmailTaken):
			return http.StatusConflict
		case err != nil:
			return http.StatusServiceUnavailable
		}
		return http.StatusCreated
	}
	_ = signUp
}
