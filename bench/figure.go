package main

import (
	"math"
	"slices"
)

// figure is one number of a run.
type figure struct {
	Benchmark string  `json:"benchmark"`
	Case      string  `json:"case,omitempty"` // under which conditions: "1,000 tenants, 2 CPUs"
	Subject   string  `json:"subject"`        // the measured thing: "Acquire and Release"
	Rival     bool    `json:"rival,omitempty"`
	Metric    string  `json:"metric"` // "time", "throughput", "share of the oracle's"
	Value     float64 `json:"value"`  // the median of the runs
	Low       float64 `json:"low"`    // the least
	High      float64 `json:"high"`   // the greatest
	Unit      string  `json:"unit,omitempty"`
	Goal      *goal   `json:"goal,omitempty"`
	Reached   *bool   `json:"reached,omitempty"`
}

// goal is a bound; one of the two is set.
type goal struct {
	AtMost  *float64 `json:"at_most,omitempty"`
	AtLeast *float64 `json:"at_least,omitempty"`
}

func atMost(v float64) *goal  { return &goal{AtMost: &v} }
func atLeast(v float64) *goal { return &goal{AtLeast: &v} }

func (g *goal) reached(v float64) bool {
	return (g.AtMost == nil || v <= *g.AtMost) && (g.AtLeast == nil || v >= *g.AtLeast)
}

func (g *goal) bound() float64 {
	if g.AtMost != nil {
		return *g.AtMost
	}
	return *g.AtLeast
}

func (g *goal) String() string {
	if g.AtMost != nil {
		return "at most " + number(*g.AtMost)
	}
	return "at least " + number(*g.AtLeast)
}

// of fills in what the runs were.
func (f figure) of(runs []float64) figure {
	f.Value, f.Low, f.High = round(median(runs)), round(slices.Min(runs)), round(slices.Max(runs))
	if f.Goal != nil {
		reached := f.Goal.reached(f.Value)
		f.Reached = &reached
	}
	return f
}

// round keeps four digits: no figure here is better than that.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Ceil(math.Log10(math.Abs(v)))-4)
	return math.Round(v/unit) * unit
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile returns the value that a share q of the values does not exceed, between two of them by proportion.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// ratios divides run by run: what disturbs the machine for a while disturbs both.
func ratios(a, b []float64) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return r
}
