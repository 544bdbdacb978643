package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// signUp is what a sign-up costs: from stock, cloned, and as others do it.
func signUp(ctx context.Context, s *suite) error {
	for _, fsync := range pick(s.short, []string{"off"}, []string{"on", "off"}) {
		for _, ballast := range pick(s.short, []int{0}, []int{0, 500, 2000}) {
			if err := signUpsOn(ctx, s, fsync, ballast); err != nil {
				return fmt.Errorf("fsync %s: %w", fsync, err)
			}
		}
	}
	return nil
}

// signUpsOn measures on a server of its own that has some databases already.
func signUpsOn(ctx context.Context, s *suite, fsync string, ballast int) error {
	name := "fsync " + fsync
	if ballast > 0 {
		name += ", " + thousands(ballast) + " databases before"
	}
	s.say("starts PostgreSQL with %s", name)
	y, err := newYard(ctx, fsync, ballast)
	if err != nil {
		return err
	}
	s.report.Machine.PostgreSQL = y.version
	err = errors.Join(
		warmSignUps(ctx, s, y, name),
		coldSignUps(ctx, s, y, name),
		crowdedSignUps(ctx, s, y, name),
	)
	return errors.Join(err, y.close())
}

// warmSignUps compares with the floor: the same rows written by hand, and no tenant to be had.
func warmSignUps(ctx context.Context, s *suite, y *yard, name string) error {
	n := pick(s.short, 2, 60)
	s.say("makes two stocks of %d", n)
	holding, err := y.newShop(ctx, n, n)
	if err != nil {
		return err
	}
	defer holding.close()
	plain, err := y.newShop(ctx, n, 0)
	if err != nil {
		return err
	}
	defer plain.close()
	floor, err := y.newFloor(ctx)
	if err != nil {
		return err
	}
	defer floor.close()
	runs, err := s.race(ctx, n, name+", warm", []contender{
		{name: "by hand, statement by statement", rival: true, run: timed(floor.stepwise)},
		{name: "by hand, three round trips in all", rival: true, run: timed(floor.batched)},
		{name: "Create, connection held", run: timed(holding.take)},
		{name: "Create", run: timed(plain.take)},
	})
	if err != nil {
		return err
	}
	f := figure{Case: name + ", warm", Subject: "Create, connection held", Metric: "times by hand", Goal: atMost(1.5)}
	s.add(f, ratios(runs[2], runs[0])...)
	f.Metric, f.Goal = "times by hand in three round trips", nil
	s.add(f, ratios(runs[2], runs[1])...)
	f.Subject, f.Metric = "Create", "times by hand"
	s.add(f, ratios(runs[3], runs[0])...)
	return nil
}

// coldSignUps compares with the one statement that a clone cannot do without.
func coldSignUps(ctx context.Context, s *suite, y *yard, name string) error {
	empty, err := y.newShop(ctx, 0, 0)
	if err != nil {
		return err
	}
	defer empty.close()
	runs, err := s.race(ctx, pick(s.short, 2, 30), name+", cold", []contender{
		{name: "CREATE DATABASE … TEMPLATE", rival: true, run: timed(empty.clone)},
		{name: "CREATE DATABASE … TEMPLATE, connect, INSERT", rival: true, run: timed(empty.enter)},
		{name: "CREATE DATABASE, 25 tables in a transaction", rival: true, run: timed(empty.build)},
		{name: "Create", run: timed(empty.make)},
	})
	if err != nil {
		return err
	}
	f := figure{Case: name + ", cold", Subject: "Create", Metric: "times CREATE DATABASE … TEMPLATE", Goal: atMost(1.3)}
	s.add(f, ratios(runs[3], runs[0])...)
	f.Metric, f.Goal = "times CREATE DATABASE … TEMPLATE, connect, INSERT", nil
	s.add(f, ratios(runs[3], runs[1])...)
	return nil
}

// race runs the contenders side by side.
func (s *suite) race(ctx context.Context, rounds int, name string, contenders []contender) ([][]float64, error) {
	s.say("%s: %d rounds", name, rounds)
	runs, err := interleave(ctx, rounds, contenders)
	if err != nil {
		return nil, err
	}
	for i, c := range contenders {
		s.add(figure{Case: name, Subject: c.name, Rival: c.rival, Metric: "time", Unit: "ms"}, runs[i]...)
		s.add(figure{Case: name, Subject: c.name, Rival: c.rival, Metric: "time p99", Unit: "ms"}, quantile(runs[i], 0.99))
	}
	return runs, nil
}

// crowdedSignUps has several at once.
func crowdedSignUps(ctx context.Context, s *suite, y *yard, name string) error {
	for _, at := range pick(s.short, []int{2}, []int{1, 4, 8}) {
		n := pick(s.short, at, 64)
		stocked, err := y.newShop(ctx, n, n)
		if err != nil {
			return err
		}
		empty, err := y.newShop(ctx, 0, 0)
		if err != nil {
			stocked.close()
			return err
		}
		for _, c := range []struct {
			subject string
			rival   bool
			n       int
			do      func(context.Context) error
		}{
			{"Create, warm", false, n, stocked.take},
			{"Create, cold", false, pick(s.short, at, 32), empty.make},
			{"CREATE DATABASE … TEMPLATE", true, pick(s.short, at, 32), empty.clone},
		} {
			start := time.Now()
			if err = atOnce(ctx, at, c.n, c.do); err != nil {
				break
			}
			s.add(figure{
				Case: fmt.Sprintf("%s, %d at a time", name, at), Subject: c.subject, Rival: c.rival,
				Metric: "sign-ups", Unit: "/s",
			}, float64(c.n)/time.Since(start).Seconds())
		}
		stocked.close()
		empty.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// atOnce calls do n times in all, some at a time.
func atOnce(ctx context.Context, at, n int, do func(context.Context) error) error {
	errs := make([]error, at)
	var wg sync.WaitGroup
	for w := range at {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += at {
				errs[w] = do(ctx)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// timed measures do in milliseconds.
func timed(do func(context.Context) error) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		err := do(ctx)
		return ms(time.Since(start)), err
	}
}
