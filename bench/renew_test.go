package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestOneBenchmarkIsRenewedAmongTheOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	old := &report{Figures: []figure{
		{Benchmark: "hit", Metric: "time", Value: 1}, {Benchmark: "memory", Metric: "memory", Value: 7000},
	}}
	fresh := &report{
		Machine: machine{Date: "later"},
		Figures: []figure{{Benchmark: "memory", Metric: "memory", Value: 275}},
	}
	if r, err := fresh.renew(path, "memory"); err != nil || r != fresh {
		t.Errorf("without older results: %v", err)
	}
	if err := old.write(path); err != nil {
		t.Fatal(err)
	}
	r, err := fresh.renew(path, "memory")
	if err != nil {
		t.Fatal(err)
	}
	if hit, memory := r.find("hit", "time"), r.find("memory", "memory"); len(hit) != 1 || len(memory) != 1 ||
		memory[0].Value != 275 {
		t.Errorf("figures %+v", r.Figures)
	}
	if table := r.table(); !strings.Contains(table, "Measured again: later") ||
		strings.Count(table, "Measured again") != 1 {
		t.Error(table)
	}
	fresh.Short = true
	if _, err := fresh.renew(path, "memory"); err == nil {
		t.Error("a short run renews a long one")
	}
}
