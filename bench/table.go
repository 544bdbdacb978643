package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// table is the report in Markdown.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", lines(r.Machine))
	if r.Short {
		b.WriteString("\nA short run: it shows that the benchmarks work, and no figure is worth quoting.\n")
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\nLeft out: %s.\n", note)
	}
	for _, name := range names() {
		r.section(&b, name)
	}
	return b.String()
}

// lines breaks the machine's line for a page of 120 columns.
func lines(m machine) string { return strings.Replace(m.String(), ", load", ",\nload", 1) }

func (r *report) section(b *strings.Builder, name string) {
	first := true
	for _, f := range r.Figures {
		if f.Benchmark != name {
			continue
		}
		if first {
			fmt.Fprintf(b, "\n### %s\n", name)
			if m, ok := r.Renewed[name]; ok {
				fmt.Fprintf(b, "\nMeasured again: %s.\n", lines(m))
			}
			fmt.Fprintf(b, "\n| | subject | metric | median | of all runs | goal |\n|---|---|---|---:|---|---|\n")
			first = false
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n",
			f.Case, f.Subject, f.Metric, withUnit(number(f.Value), f.Unit), spread(f), verdict(f))
	}
}

func spread(f figure) string {
	if f.Low == f.High {
		return ""
	}
	return number(f.Low) + " to " + number(f.High)
}

func verdict(f figure) string {
	switch {
	case f.Goal == nil:
		return ""
	case *f.Reached:
		return f.Goal.String() + ": reached"
	default:
		return f.Goal.String() + ": **missed**"
	}
}

func withUnit(s, unit string) string {
	if unit == "" {
		return s
	}
	return s + " " + unit
}

// number writes v with three digits, large ones whole and with commas.
func number(v float64) string {
	switch {
	case v == math.Trunc(v) && math.Abs(v) < 1000, v >= 0 && v < 0.001:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case v < 0:
		return "-" + number(-v)
	case v >= 100:
		return thousands(int(math.Round(v)))
	default:
		return strconv.FormatFloat(v, 'f', max(0, 2-int(math.Floor(math.Log10(v)))), 64)
	}
}

const (
	beginMark = "<!-- results: written by make bench -->\n"
	endMark   = "<!-- end of results -->\n"
)

// insert replaces what stands between the marks in the page.
func insert(page, table string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(text), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s: the marks of the table are missing", page)
	}
	//nolint:gosec // the caller of this program names the page
	return os.WriteFile(page, []byte(before+beginMark+table+endMark+after), 0o600)
}
