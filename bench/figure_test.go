package main

import (
	"math"
	"testing"
)

func TestMedianAndQuantiles(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.99, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{0, 10}, 0.99, 9.9},
		{[]float64{2, 1}, 1, 2},
	} {
		if got := quantile(c.values, c.q); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("quantile(%v, %v) = %v, want %v", c.values, c.q, got, c.want)
		}
	}
}

func TestGoalsAreJudgedByTheMedian(t *testing.T) {
	for _, c := range []struct {
		goal *goal
		runs []float64
		want bool
	}{
		{atMost(3), []float64{2, 3, 9}, true},
		{atMost(3), []float64{2, 3.01, 9}, false},
		{atLeast(0.97), []float64{0.9, 0.97, 1}, true},
		{atLeast(0.97), []float64{0.9, 0.969, 1}, false},
	} {
		if f := (figure{Goal: c.goal}).of(c.runs); *f.Reached != c.want {
			t.Errorf("%v of %v: reached is %v", c.goal, c.runs, *f.Reached)
		}
	}
}

func TestNumbersAreWrittenWithThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 3: "3", 0.97: "0.970", 2.345: "2.35", 45.67: "45.7", 123.4: "123", 1024: "1,024", 1234567: "1,234,567",
		-12.3: "-12.3", 0.0123: "0.0123", 0.00001: "1e-05",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestTrafficIsZipf(t *testing.T) {
	next := zipf(1000, 1)
	const n = 100_000
	var seen [1000]int
	for range n {
		seen[next()]++
	}
	hundred := 0
	for _, k := range seen[:100] {
		hundred += k
	}
	if first := float64(seen[0]) / n; math.Abs(first-0.18) > 0.01 || math.Abs(float64(hundred)/n-0.77) > 0.01 {
		t.Errorf("the first tenant has %v of the traffic, the first hundred %v", first, float64(hundred)/n)
	}
}
