package fingerprint_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
)

func ExampleFingerprint_Diff() {
	staging := &fingerprint.Fingerprint{Objects: []string{
		"column public.members.nick: text",
		"table public.members: ",
	}}
	production := &fingerprint.Fingerprint{Objects: []string{
		"column public.members.nick: text not null",
		"table public.members: ",
	}}
	for _, line := range staging.Diff(production) {
		fmt.Println(line)
	}
	// Output:
	// - column public.members.nick: text
	// + column public.members.nick: text not null
}

// A check before a release: have two databases the same schema?
func ExampleTake() {
	compare := func(ctx context.Context, one, other *pgx.Conn) ([]string, error) {
		a, err := fingerprint.Take(ctx, one)
		if err != nil {
			return nil, err
		}
		b, err := fingerprint.Take(ctx, other)
		if err != nil {
			return nil, err
		}
		return a.Diff(b), nil // nil: they are equal
	}
	_ = compare
}
