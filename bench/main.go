// Command bench measures what pgtenancy costs, side by side with its rivals in one run. What each figure means is said
// in docs/benchmarks.md.
//
//	go run ./bench [-short] [-only NAME] [-o results.json] [-doc benchmarks.md]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	short          bool
	only, out, doc string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.short, "short", false, "seconds instead of minutes: shows that it works, and no figure worth quoting")
	flags.StringVar(&o.only, "only", "", "run one benchmark: "+strings.Join(names(), ", "))
	flags.StringVar(&o.out, "o", "",
		"write the results to this file, and their plot beside it as .svg; with -only, among what is there")
	flags.StringVar(&o.doc, "doc", "", "put the table into this page, between its two marks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := newSuite(o.short, stderr)
	err := s.run(ctx, o.only)
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	fmt.Fprint(stdout, s.report.table())
	if o.only == "" || o.out == "" {
		return publish(s.report, o)
	}
	renewed, err := s.report.renew(o.out, o.only)
	if err != nil {
		return err
	}
	return publish(renewed, o)
}

// publish writes the files that were asked for.
func publish(r *report, o options) error {
	if o.out != "" {
		svg, err := plot(r)
		if err != nil {
			return err
		}
		picture := strings.TrimSuffix(o.out, filepath.Ext(o.out)) + ".svg"
		if err := errors.Join(r.write(o.out), os.WriteFile(picture, svg, 0o600)); err != nil {
			return err
		}
	}
	if o.doc != "" {
		return insert(o.doc, r.table())
	}
	return nil
}
