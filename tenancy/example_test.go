package tenancy_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// directory knows two tenants. Yours asks a table.
func directory(_ context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	switch id {
	case "acme":
		return tenancy.Tenant{State: tenancy.Active, Endpoint: tenancy.Endpoint{Database: "tenant_acme"}}, nil
	case "globex":
		return tenancy.Tenant{State: tenancy.Suspended}, nil
	}
	return tenancy.Tenant{}, tenancy.ErrNotFound
}

func exampleResolver() *tenancy.Resolver {
	base, err := pgxpool.ParseConfig("host=db.internal user=app sslmode=verify-full")
	if err != nil {
		log.Fatal(err)
	}
	r, err := tenancy.New(tenancy.Config{Directory: tenancy.DirectoryFunc(directory), Base: base})
	if err != nil {
		log.Fatal(err)
	}
	return r
}

func ExampleNew() {
	base, err := pgxpool.ParseConfig("host=db.internal user=app sslmode=verify-full")
	if err != nil {
		log.Fatal(err)
	}
	r, err := tenancy.New(tenancy.Config{
		Directory: tenancy.DirectoryFunc(directory),
		Base:      base,
		MaxPools:  256,
		Observer: tenancy.Observer{
			PoolOpened: func(id tenancy.ID) { fmt.Println("opened", id) },
			PoolClosed: func(id tenancy.ID, cause tenancy.Cause, _ time.Duration) { fmt.Println("closed", id, cause) },
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := r.Acquire(context.Background(), "acme")
	if err != nil {
		log.Fatal(err)
	}
	lease.Release()
	if err := r.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// opened acme
	// closed acme closed
}

func ExampleResolver_Acquire() {
	r := exampleResolver()
	defer r.Close(context.Background())

	lease, err := r.Acquire(context.Background(), "acme")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	fmt.Println(lease.Tenant().ID, lease.Pool().Config().ConnConfig.Database)

	_, err = r.Acquire(context.Background(), "nobody")
	fmt.Println(errors.Is(err, tenancy.ErrNotFound), err)

	_, err = r.Acquire(context.Background(), "globex")
	fmt.Println(errors.Is(err, tenancy.ErrSuspended), err)

	lease.Release() // once more than needed: harmless
	// Output:
	// acme tenant_acme
	// true tenancy: tenant not found: "nobody"
	// true tenancy: tenant "globex" is suspended
}

func ExampleResolver_AcquireFunc() {
	r := exampleResolver()
	defer r.Close(context.Background())

	err := r.AcquireFunc(context.Background(), "acme", func(_ context.Context, pool *pgxpool.Pool) error {
		fmt.Println(pool.Config().ConnConfig.Host)
		return nil
	})
	fmt.Println(err, r.Stat().Leases())
	// Output:
	// db.internal
	// <nil> 0
}

func ExampleResolver_Invalidate() {
	r := exampleResolver()
	defer r.Close(context.Background())

	lease, err := r.Acquire(context.Background(), "acme")
	if err != nil {
		log.Fatal(err)
	}
	r.Invalidate("acme", 0) // the directory is asked: it is where it was, so that the lease goes on
	fmt.Println(r.Stat().OpenPools(), r.Stat().DrainingPools(), lease.Err())
	lease.Release()
	// Output:
	// 1 0 <nil>
}

func ExampleLease_Done() {
	r := exampleResolver()
	defer r.Close(context.Background())
	lease, err := r.Acquire(context.Background(), "acme")
	if err != nil {
		log.Fatal(err)
	}
	events := make(chan string, 1)
	stream := func(ctx context.Context) error {
		defer lease.Release()
		for {
			select {
			case event := <-events:
				fmt.Println(event)
				r.Evict("acme") // or a suspension, a deletion, a move
			case <-lease.Done():
				return lease.Err()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	events <- "a member was added"
	fmt.Println(stream(context.Background()))
	// Output:
	// a member was added
	// tenancy: pool evicted: tenant "acme"
}

func ExampleParseID() {
	for _, s := range []string{"acme", "Acme"} {
		id, err := tenancy.ParseID(s)
		fmt.Printf("%q %v\n", id, err)
	}
	// Output:
	// "acme" <nil>
	// "" tenancy: invalid tenant id: "Acme"
}

func ExampleFromContext() {
	r := exampleResolver()
	defer r.Close(context.Background())
	lease, err := r.Acquire(context.Background(), "acme")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()

	handler := func(ctx context.Context) {
		if lease, ok := tenancy.FromContext(ctx); ok {
			fmt.Println("serving", lease.Tenant().ID)
		}
	}
	handler(tenancy.NewContext(context.Background(), lease))
	// Output:
	// serving acme
}

func ExampleMustFromContext() {
	profile := func(w http.ResponseWriter, r *http.Request) {
		lease := tenancy.MustFromContext(r.Context()) // middleware.Tenant acquired it, and releases it
		var name string
		if err := lease.Pool().QueryRow(r.Context(), "select name from profile").Scan(&name); err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, name)
	}
	http.HandleFunc("/profile", profile)
}

// The *sql.DB of a tenant lives as long as its pool, for a library that wants one.
func ExampleAttached() {
	base, err := pgxpool.ParseConfig("host=db.internal user=app sslmode=verify-full")
	if err != nil {
		log.Fatal(err)
	}
	r, err := tenancy.New(tenancy.Config{
		Directory: tenancy.DirectoryFunc(directory),
		Base:      base,
		Attach: func(_ context.Context, _ tenancy.Tenant, pool *pgxpool.Pool) (any, func(), error) {
			db := stdlib.OpenDBFromPool(pool)
			return db, func() { _ = db.Close() }, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := r.Acquire(context.Background(), "acme")
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		lease.Release()
		_ = r.Close(context.Background())
	}()
	db, ok := tenancy.Attached[*sql.DB](lease)
	fmt.Println(ok, db.Stats().OpenConnections)
	// Output: true 0
}

func ExampleResolver_ForEach() {
	r := exampleResolver()
	defer r.Close(context.Background())
	ids := slices.Values([]tenancy.ID{"acme", "globex"})
	out := r.ForEach(context.Background(), ids, 4, func(_ context.Context, id tenancy.ID, pool *pgxpool.Pool) error {
		fmt.Println(id, "is in", pool.Config().ConnConfig.Database)
		return nil
	})
	fmt.Println(out.Done, "done,", len(out.Failed), "failed")
	fmt.Println(out.Err())
	// Output:
	// acme is in tenant_acme
	// 1 done, 1 failed
	// tenant "globex": tenancy: tenant "globex" is suspended
}

func ExampleResolver_SetMaxConns() {
	r := exampleResolver()
	defer r.Close(context.Background())
	fmt.Println("open:", r.SetMaxConns("pg-1", 40))
	for _, s := range r.Stat().Servers() {
		fmt.Println(s.Name(), "may have", s.MaxConns(), "connections")
	}
	// Output:
	// open: 0
	// pg-1 may have 40 connections
}
