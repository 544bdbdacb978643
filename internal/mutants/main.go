// Command mutants takes the mechanisms that the promises rest on out of a copy of this tree, one at a time, and shows
// that a named test fails each time: a test that cannot fail proves nothing.
//
//	go run ./internal/mutants [-only REGEXP]
//
// It runs in the root of the repository, needs what the tests need, and prints a line for each mutant. It exits with 1
// unless every mutant was killed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
)

// mutant is one mechanism and how it is taken out.
type mutant struct {
	name     string // what is missing
	file     string
	old, new string // old stands in file exactly once
	test     string // the package and the tests that must fail: "./tenancy TestA|TestB"
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("mutants", flag.ExitOnError)
	only := flags.String("only", "", "a regular expression: take only the mutants whose name it matches")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	var chosen []mutant
	for _, m := range all() {
		if pattern.MatchString(m.name) {
			chosen = append(chosen, m)
		}
	}
	l, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	killed := 0
	for i, m := range chosen {
		v := l.try(ctx, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if v == dead {
			killed++
		}
		fmt.Printf("%3d/%d  %-9s %-55s %s\n", i+1, len(chosen), v, m.name, m.test)
	}
	if killed < len(chosen) {
		return fmt.Errorf("%d of %d mutants were not killed", len(chosen)-killed, len(chosen))
	}
	return nil
}

// all returns the mutants, those of each package from a file of its own.
func all() []mutant {
	return slices.Concat(ofTenancy(), ofKit(), ofRegistry(), ofProvision(), ofAdopt(), ofFleet(),
		ofAuthn(), ofSecrets(), ofAccounts(), ofTokens(),
		ofServer(), ofTargets())
}
