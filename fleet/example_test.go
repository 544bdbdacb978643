package fleet_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/provision"
)

func ExampleOpen() {
	_, err := fleet.Open(context.Background(), fleet.Config{Registry: "postgres://localhost/registry"})
	fmt.Println(err)
	// Output:
	// fleet: Config.KeysFile: required, or Keyring
	// fleet: Config.Servers: required
	// provision: Config.Schema: required
}

// A program opens one Fleet, and closes it when its HTTP server has come to rest.
func ExampleFleet_Close() {
	run := func(ctx context.Context, schema provision.Schema, serve func(context.Context, *fleet.Fleet) error) error {
		f, err := fleet.Open(ctx, fleet.Config{
			Registry: os.Getenv("REGISTRY_URL"),
			KeysFile: os.Getenv("KEYS_FILE"),
			Servers:  []fleet.Server{{Name: "eu-1", Admin: os.Getenv("ADMIN_URL")}},
			Schema:   schema,
			Logger:   slog.Default(),
		})
		if err != nil {
			return err
		}
		defer func() {
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			defer cancel()
			if err := f.Close(drain); err != nil {
				slog.Error("stopped in the middle", "error", err)
			}
		}()
		return serve(ctx, f)
	}
	_ = run
}
