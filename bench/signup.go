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
	sizes := pick(s.short,
		[]signUpSize{{fsync: "off", warm: 2, cold: 2, atOnce: []int{2}, crowd: 2}},
		[]signUpSize{
			{fsync: "on", warm: 40, cold: 20, atOnce: []int{1, 4, 8}, crowd: 24},
			{fsync: "off", warm: 40, cold: 20, atOnce: []int{1, 4, 8}, crowd: 24},
			{fsync: "off", before: 500, warm: 20, cold: 12},
			{fsync: "off", before: 2000, warm: 20, cold: 12},
		})
	var y *yard
	var err error
	for _, size := range sizes {
		if y == nil || y.fsync != size.fsync {
			if err = errors.Join(y.close(), ctx.Err()); err != nil {
				return err
			}
			s.say("starts PostgreSQL with fsync %s", size.fsync)
			if y, err = newYard(ctx, size.fsync); err != nil {
				return err
			}
			s.report.Machine.PostgreSQL = y.version
		}
		if err = signUpsOn(ctx, s, y, size); err != nil {
			err = fmt.Errorf("%s: %w", size, err)
			break
		}
	}
	return errors.Join(err, y.close())
}

// signUpSize is one setting, and how often each contender runs in it.
type signUpSize struct {
	fsync  string // "on" or "off"
	before int    // databases on the server
	warm   int    // rounds from stock
	cold   int    // rounds without
	atOnce []int  // sign-ups at a time, in rounds of their own
	crowd  int    // sign-ups in each of these
}

func (size signUpSize) String() string {
	if size.before > 0 {
		return fmt.Sprintf("fsync %s, %s databases before", size.fsync, thousands(size.before))
	}
	return "fsync " + size.fsync
}

// signUpsOn measures one setting.
func signUpsOn(ctx context.Context, s *suite, y *yard, size signUpSize) error {
	if size.before > 0 {
		s.say("makes databases until there are %s", thousands(size.before))
		if err := y.fill(ctx, size.before); err != nil {
			return err
		}
	}
	return errors.Join(
		warmSignUps(ctx, s, y, size),
		coldSignUps(ctx, s, y, size),
		crowdedSignUps(ctx, s, y, size),
	)
}

// warmSignUps compares with the floor: the same rows written by hand, and no tenant to be had.
func warmSignUps(ctx context.Context, s *suite, y *yard, size signUpSize) error {
	n, name := size.warm, size.String()+", warm"
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
	runs, err := s.race(ctx, n, name, []contender{
		{name: "by hand, statement by statement", rival: true, run: timed(floor.stepwise)},
		{name: "by hand, three round trips in all", rival: true, run: timed(floor.batched)},
		{name: "Create, connection held", run: timed(holding.take)},
		{name: "Create", run: timed(plain.take)},
	})
	if err != nil {
		return err
	}
	f := figure{Case: name, Subject: "Create, connection held", Metric: "times by hand", Goal: atMost(1.5)}
	s.add(f, ratios(runs[2], runs[0])...)
	f.Metric, f.Goal = "times by hand in three round trips", nil
	s.add(f, ratios(runs[2], runs[1])...)
	f.Subject, f.Metric = "Create", "times by hand"
	s.add(f, ratios(runs[3], runs[0])...)
	return nil
}

// coldSignUps compares with the one statement that a clone cannot do without.
func coldSignUps(ctx context.Context, s *suite, y *yard, size signUpSize) error {
	name := size.String() + ", cold"
	empty, err := y.newShop(ctx, 0, 0)
	if err != nil {
		return err
	}
	defer empty.close()
	runs, err := s.race(ctx, size.cold, name, []contender{
		{name: "CREATE DATABASE … TEMPLATE", rival: true, run: timed(empty.clone)},
		{name: "CREATE DATABASE … TEMPLATE, connect, INSERT", rival: true, run: timed(empty.enter)},
		{name: "CREATE DATABASE, 25 tables in a transaction", rival: true, run: timed(empty.build)},
		{name: "Create", run: timed(empty.make)},
	})
	if err != nil {
		return err
	}
	f := figure{Case: name, Subject: "Create", Metric: "times CREATE DATABASE … TEMPLATE", Goal: atMost(1.3)}
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
func crowdedSignUps(ctx context.Context, s *suite, y *yard, size signUpSize) error {
	for _, at := range size.atOnce {
		name, n := fmt.Sprintf("%s, %d at a time", size, at), size.crowd
		s.say("%s: %d sign-ups of each", name, n)
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
			do      func(context.Context) error
		}{
			{"Create, warm", false, stocked.take},
			{"Create, cold", false, empty.make},
			{"CREATE DATABASE … TEMPLATE", true, empty.clone},
		} {
			start := time.Now()
			if err = atOnce(ctx, at, n, c.do); err != nil {
				break
			}
			s.add(figure{Case: name, Subject: c.subject, Rival: c.rival, Metric: "sign-ups", Unit: "/s"},
				float64(n)/time.Since(start).Seconds())
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
