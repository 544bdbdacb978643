package main

import (
	"encoding/json"
	"os"
)

// report is what a run leaves.
type report struct {
	Machine machine `json:"machine"`
	// by benchmark: a later run's figures took the place of this one's
	Renewed map[string]machine `json:"renewed,omitempty"`
	Short   bool               `json:"short,omitempty"` // it shows that the benchmarks work, and nothing else
	Notes   []string           `json:"notes,omitempty"` // omissions, and why
	Figures []figure           `json:"figures"`
}

func newReport(short bool) *report { return &report{Machine: thisMachine(), Short: short} }

func (r *report) add(f figure, runs []float64) { r.Figures = append(r.Figures, f.of(runs)) }

func (r *report) note(s string) { r.Notes = append(r.Notes, s) }

func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

func readReport(path string) (*report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(report)
	return r, json.Unmarshal(text, r)
}

// find returns the figures of one metric of one benchmark.
func (r *report) find(benchmark, metric string) (found []figure) {
	for _, f := range r.Figures {
		if f.Benchmark == benchmark && f.Metric == metric {
			found = append(found, f)
		}
	}
	return found
}
