package main

import (
	"bytes"
	_ "embed"
	"math"
	"text/template"
)

//go:embed plot.svg.tmpl
var plotTemplate string

// Sizes in pixels. A panel is a column of rows: a heading for each case, a bar for each subject.
const (
	panelWidth  = 620
	gap         = 28
	margin      = 24
	headHeight  = 100 // title, machine and legend
	titleHeight = 44
	rowHeight   = 18
	labelWidth  = 235
	barWidth    = 270
)

// panel is one metric of one benchmark.
type panel struct {
	Benchmark, Metric string
	Title, Axis       string
	log               bool // for values that differ by orders of magnitude
	X, Y              int
	Rows              []row
}

type row struct {
	Heading string // a case; the row has no bar then
	Label   string
	Value   string
	Y       int
	Bar     float64 // length in pixels
	Goal    float64 // where the goal's mark is; negative: it has none
	Class   string  // ours, rival or missed
}

func panels() []panel {
	return []panel{
		{
			Benchmark: "hit", Metric: "times lru.Cache.Get", Title: "Lease on a cached pool",
			Axis: "time, times that of a bare lru.Cache.Get; less is better",
		},
		{
			Benchmark: "memory", Metric: "memory for each tenant", Title: "Memory of a cached idle tenant",
			Axis: "bytes, heap and stacks; less is better",
		},
		{Benchmark: "first", Metric: "time", Title: "First request after eviction", Axis: "ms, median; less is better"},
		{
			Benchmark: "http", Metric: "share of the oracle's", Title: "One SELECT over HTTP: routing",
			Axis: "throughput, share of the oracle's (a map, no lease); more is better",
		},
		{
			Benchmark: "token", Metric: "share of the oracle's", Title: "One SELECT over HTTP: routing and an EdDSA token",
			Axis: "throughput, share of the oracle's (a map, no token); more is better",
		},
		{
			Benchmark: "overload", Metric: "throughput", Title: "More tenants than connections: throughput",
			Axis: "requests answered in a second; more is better",
		},
		{
			Benchmark: "overload", Metric: "latency p99", Title: "More tenants than connections: p99",
			Axis: "ms, logarithmic; less is better", log: true,
		},
		{
			Benchmark: "overload", Metric: "dials in 1,000 requests", Title: "More tenants than connections: dials",
			Axis: "in 1,000 requests; less is better",
		},
		{Benchmark: "signup", Metric: "time", Title: "A sign-up", Axis: "ms, logarithmic; less is better", log: true},
		{
			Benchmark: "overload", Metric: "errors in 1,000 requests", Title: "More tenants than connections: errors",
			Axis: "in 1,000 requests; less is better",
		},
	}
}

type drawing struct {
	Width, Height int
	Machine       string
	Short         bool
	Panels        []panel
	LabelWidth    int
	PanelWidth    int
}

// plot draws the report as SVG, in two columns.
func plot(r *report) ([]byte, error) {
	d := drawing{
		Machine: r.Machine.String(), Short: r.Short, LabelWidth: labelWidth, PanelWidth: panelWidth,
		Width: 2*panelWidth + gap + 2*margin,
	}
	bottoms := []int{headHeight, headHeight}
	for _, p := range panels() {
		if !p.fill(r.find(p.Benchmark, p.Metric)) {
			continue
		}
		column := 0
		if bottoms[1] < bottoms[0] {
			column = 1
		}
		p.X, p.Y = margin+column*(panelWidth+gap), bottoms[column]
		bottoms[column] += titleHeight + len(p.Rows)*rowHeight + gap
		d.Panels = append(d.Panels, p)
	}
	d.Height = max(bottoms[0], bottoms[1])
	t, err := template.New("plot").Funcs(template.FuncMap{
		"xml": template.HTMLEscapeString,
		"add": add,
	}).Parse(plotTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, d)
	return b.Bytes(), err
}

func add(a, b float64) float64 { return a + b }

// fill makes the rows. It reports whether there are any.
func (p *panel) fill(figures []figure) bool {
	scale := p.scale(figures)
	heading, y := "", titleHeight
	for _, f := range figures {
		if f.Case != heading {
			heading = f.Case
			p.Rows = append(p.Rows, row{Heading: heading, Y: y})
			y += rowHeight
		}
		r := row{
			Label: f.Subject, Value: withUnit(number(f.Value), f.Unit), Y: y, Bar: scale(f.Value), Goal: -1,
			Class: "ours",
		}
		switch {
		case f.Rival:
			r.Class = "rival"
		case f.Reached != nil && !*f.Reached:
			r.Class = "missed"
		}
		if f.Goal != nil {
			r.Goal = scale(f.Goal.bound())
		}
		p.Rows = append(p.Rows, r)
		y += rowHeight
	}
	return len(p.Rows) > 0
}

// scale returns what turns a value into pixels; the greatest value and the greatest goal fit.
func (p *panel) scale(figures []figure) func(float64) float64 {
	top := 0.0
	for _, f := range figures {
		top = max(top, f.Value)
		if f.Goal != nil {
			top = max(top, f.Goal.bound())
		}
	}
	if top == 0 {
		return func(float64) float64 { return 0 }
	}
	if p.log {
		return func(v float64) float64 { return barWidth * math.Log1p(v*10) / math.Log1p(top*10) }
	}
	return func(v float64) float64 { return barWidth * max(v, 0) / top }
}
