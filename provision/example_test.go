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

// A service signs tenants up, and reconciles in the background.
func ExampleProvisioner_Create() {
	signUp := func(ctx context.Context, reg *registry.Registry, schema provision.Schema, name, email string) (int, error) {
		admin, err := pgx.ParseConfig("user=provisioner dbname=postgres sslmode=verify-full")
		if err != nil {
			return 0, err
		}
		p, err := provision.New(provision.Config{
			Registry: reg, Admin: admin, Schema: schema, Logger: slog.Default(),
			Seed: func(ctx context.Context, tx pgx.Tx, s provision.Seed) error {
				_, err := tx.Exec(ctx, "INSERT INTO admins (id) VALUES ($1) ON CONFLICT DO NOTHING", s.Admin.ID)
				return err
			},
		})
		if err != nil {
			return 0, err
		}
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				fmt.Println(err)
			}
		}()

		address, err := registry.ParseEmail(email)
		if err != nil {
			return http.StatusUnprocessableEntity, err
		}
		_, err = p.Create(ctx, provision.Request{
			Organization: registry.Organization{Name: name, Email: address},
			Admin:        registry.Admin{Email: address},
		})
		if errors.Is(err, registry.ErrEmailTaken) {
			return http.StatusConflict, err
		}
		return http.StatusCreated, err
	}
	_ = signUp
}
