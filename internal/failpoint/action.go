package failpoint

import (
	"context"
	"os"
	"sync"
	"time"
)

// Error fails the step with err.
func Error(err error) Action {
	return func(context.Context) error { return err }
}

// Panic panics with value.
func Panic(value any) Action {
	return func(context.Context) error { panic(value) }
}

// Sleep holds the step up for d, or until its ctx ends.
func Sleep(d time.Duration) Action {
	return func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Block holds the step up until release is closed, or its ctx ends.
func Block(release <-chan struct{}) Action {
	return func(ctx context.Context) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Kill ends the process as SIGKILL does: nothing that was deferred runs.
func Kill() Action {
	return func(context.Context) error {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			return err
		}
		select {} // the signal arrives when it arrives
	}
}

// Cancel ends somebody's context and lets the step find out.
func Cancel(cancel context.CancelFunc) Action {
	return func(context.Context) error {
		cancel()
		return nil
	}
}

// Once does a the first time only.
func Once(a Action) Action {
	var once sync.Once
	return func(ctx context.Context) (err error) {
		once.Do(func() { err = a(ctx) })
		return err
	}
}
