// Package billing makes a Stripe customer of every church that signs up.
package billing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v83"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Config configures the side effect.
type Config struct {
	Key  string // Stripe's secret key
	Base string // of Stripe's API; empty: Stripe's own

	// Record keeps a customer's id with the tenant.
	Record func(ctx context.Context, id tenancy.ID, customer string) error
}

// SideEffect returns the side effect of a sign-up. Do makes the customer with its key as Idempotency-Key: however often
// Do runs, there is one customer. Undo deletes it. Stripe keeps idempotency keys for at least 24 hours; a sign-up is
// finished or undone within seconds of a live process.
func SideEffect(cfg Config) provision.SideEffect {
	b := &biller{client: newClient(cfg), record: cfg.Record}
	return provision.SideEffect{Name: "billing", Do: b.do, Undo: b.undo}
}

type biller struct {
	client *stripe.Client
	record func(context.Context, tenancy.ID, string) error
}

// newClient makes a client that logs nothing: Stripe's messages may quote what was sent.
func newClient(cfg Config) *stripe.Client {
	bc := &stripe.BackendConfig{
		HTTPClient:        &http.Client{Timeout: 20 * time.Second},
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		MaxNetworkRetries: stripe.Int64(2),
		EnableTelemetry:   stripe.Bool(false),
	}
	if cfg.Base != "" {
		bc.URL = stripe.String(cfg.Base)
	}
	return stripe.NewClient(cfg.Key, stripe.WithBackends(stripe.NewBackendsWithConfig(bc)))
}

func (b *biller) do(ctx context.Context, in provision.SideEffectInput) (string, error) {
	customer, err := b.create(ctx, in)
	if err != nil {
		return "", err
	}
	return customer, b.record(ctx, in.Tenant.ID, customer)
}

// undo deletes the customer. When it is not known whether one was made, making it again under the same key tells which.
func (b *biller) undo(ctx context.Context, in provision.SideEffectInput) error {
	customer := in.Result
	if customer == "" {
		var err error
		if customer, err = b.create(ctx, in); err != nil {
			return err
		}
	}
	_, err := b.client.V1Customers.Delete(ctx, customer, &stripe.CustomerDeleteParams{})
	if stripeErr, ok := errors.AsType[*stripe.Error](err); ok && stripeErr.Code == stripe.ErrorCodeResourceMissing {
		return nil
	}
	return describe("delete customer", err)
}

func (b *biller) create(ctx context.Context, in provision.SideEffectInput) (string, error) {
	params := &stripe.CustomerCreateParams{Name: stripe.String(in.Organization.Name)}
	params.AddMetadata("tenant", in.Tenant.ID.String())
	params.SetIdempotencyKey(in.Key)
	customer, err := b.client.V1Customers.Create(ctx, params)
	if err != nil {
		return "", describe("create customer", err)
	}
	return customer.ID, nil
}

// describe keeps the parts of an error that are safe to log and to store: Stripe's text may quote what was sent.
func describe(what string, err error) error {
	if err == nil {
		return nil
	}
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return fmt.Errorf("billing: %s: %w", what, end)
		}
	}
	if e, ok := errors.AsType[*stripe.Error](err); ok {
		return fmt.Errorf("billing: %s: HTTP status %d, type %q, code %q", what, e.HTTPStatusCode, e.Type, e.Code)
	}
	return fmt.Errorf("billing: %s: %T", what, err)
}
