// Command server is a church-management system: every church that signs up gets a PostgreSQL database of its own.
//
//	go run ./examples/server
//
// It serves pages and a JSON API on http://localhost:8080. DATABASE_URL is an administrator's connection string of a
// PostgreSQL server; without it, one is started from the programs installed on this machine, and is gone with the
// process. PGTENANCY_KEYS_FILE names the file with the keys, made on the first run. With STRIPE_API_KEY every church
// becomes a Stripe customer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], process{env: os.Getenv, stdout: os.Stdout, stderr: os.Stderr})
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1) //nolint:gocritic // stop only gives the signals back
	}
}
