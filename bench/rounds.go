package main

import "context"

// contender is measured side by side with others. run measures it once.
type contender struct {
	name  string
	rival bool
	run   func(ctx context.Context) (float64, error)
}

// interleave runs every contender once a round, every other round in reverse order, and returns the runs of each.
func interleave(ctx context.Context, rounds int, contenders []contender) ([][]float64, error) {
	runs := make([][]float64, len(contenders))
	for round := range rounds {
		for i := range contenders {
			if round%2 == 1 {
				i = len(contenders) - 1 - i
			}
			v, err := contenders[i].run(ctx)
			if err != nil {
				return nil, err
			}
			runs[i] = append(runs[i], v)
		}
	}
	return runs, nil
}
