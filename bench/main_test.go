package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Leaks(m) }

// TestShortRunOfEveryBenchmark asserts that each measures what it should, and nothing of how long it took: the machine
// is busy with other tests.
func TestShortRunOfEveryBenchmark(t *testing.T) {
	out := filepath.Join(t.TempDir(), "results.json")
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-short", "-o", out}, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	r, err := readReport(out)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Short || r.Machine.Cores == 0 || r.Machine.Go == "" || r.Machine.PostgreSQL == "" || r.Machine.Date == "" {
		t.Errorf("machine: %+v", r.Machine)
	}
	for metric, want := range map[[2]string]int{
		{"hit", "time"}: 6, {"hit", "times lru.Cache.Get"}: 4, {"hit", "allocations"}: 4,
		{"http", "throughput"}: 10, {"http", "share of the oracle's"}: 6,
		{"token", "throughput"}: 12, {"token", "share of the oracle's"}: 8,
		{"overload", "errors in 1,000 requests"}: 5 - len(r.Notes), {"overload", "latency p99"}: 5 - len(r.Notes),
		{"memory", "memory for each tenant"}: 3, {"memory", "goroutines for each tenant"}: 3,
		{"first", "time"}:  5,
		{"signup", "time"}: 8, {"signup", "times by hand"}: 2, {"signup", "times CREATE DATABASE … TEMPLATE"}: 1,
		{"signup", "sign-ups"}: 3,
		{"testkit", "time"}:    2, {"testkit", "times pgtestdb"}: 1,
	} {
		if found := r.find(metric[0], metric[1]); len(found) != want {
			t.Errorf("%v: %d figures, want %d", metric, len(found), want)
		}
	}
	for _, f := range r.find("overload", "errors in 1,000 requests") {
		if !f.Rival && f.Value != 0 { // more tenants than connections are no reason for an error
			t.Errorf("%s: %v errors in 1,000 requests", f.Subject, f.Value)
		}
	}
	for _, f := range r.Figures {
		if math.IsNaN(f.Value) || math.IsInf(f.Value, 0) || f.Low > f.Value || f.Value > f.High {
			t.Errorf("figure %+v", f)
		}
		if (f.Goal == nil) != (f.Reached == nil) {
			t.Errorf("a goal without a verdict, or a verdict without a goal: %+v", f)
		}
		if !strings.Contains(stdout.String(), "| "+f.Case+" | "+f.Subject+" | "+f.Metric+" |") {
			t.Errorf("not in the table: %+v", f)
		}
	}
	wellFormed(t, strings.TrimSuffix(out, ".json")+".svg")
}

func TestUnknownBenchmarkIsRefused(t *testing.T) {
	if err := run(t.Context(), []string{"-only", "lunch"}, io.Discard, io.Discard); err == nil {
		t.Error("no error")
	}
}

// TestDocumentedTableIsThatOfTheLastRun keeps the page to measured figures.
func TestDocumentedTableIsThatOfTheLastRun(t *testing.T) {
	r, err := readReport("results.json")
	if err != nil {
		t.Fatal(err)
	}
	if r.Short {
		t.Error("results.json is of a short run")
	}
	page, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), beginMark+r.table()+endMark) {
		t.Error("docs/benchmarks.md has another table than results.json: run make bench")
	}
	drawn, err := plot(r)
	if err != nil {
		t.Fatal(err)
	}
	if svg, err := os.ReadFile("results.svg"); err != nil || !bytes.Equal(svg, drawn) {
		t.Error("results.svg shows something else than results.json: run make bench")
	}
}

func TestInsertReplacesOnlyWhatIsBetweenTheMarks(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	for text, want := range map[string]string{
		"a\n" + beginMark + "old\n" + endMark + "b\n": "a\n" + beginMark + "new\n" + endMark + "b\n",
		"no marks\n": "",
	} {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := insert(page, "new\n")
		if got, _ := os.ReadFile(page); err == nil && string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func wellFormed(t *testing.T, path string) {
	t.Helper()
	svg, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("the plot is not well-formed: %v", err)
		}
	}
}
