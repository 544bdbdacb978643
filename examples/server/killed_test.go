package main

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Guards: the only process was killed and started again, and answered every church with 503 for ten seconds.
func TestKilledProgramServesAtOnceWhenItIsStartedAgain(t *testing.T) {
	r, program := startBuilt(t, newStripeDouble(t), "killed_")
	r.prefix = "killed_"
	church := r.register(t, "killed")
	for range 2 {
		if err := program.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = program.Wait()
		stdout := &buffer{}
		again := exec.Command(program.Path, program.Args[1:]...) //nolint:noctx // the same again
		again.Env, again.Stdout, again.Stderr = program.Env, stdout, r.logs
		if err := again.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = again.Process.Kill() })
		program = again
		eventually(t, "the program serves", func() bool {
			r.url = strings.TrimSpace(stdout.String())
			return r.url != ""
		})
		eventually(t, "the program is ready", func() bool {
			status, _, err := r.as("").send(t.Context(), "GET", "/readyz", nil)
			return err == nil && status == http.StatusOK
		})
		ready := time.Now()
		if err := r.ask(t.Context(), church, false); err != nil {
			t.Errorf("first request: %v", err)
		}
		if took := time.Since(ready); took > 2*time.Second {
			t.Errorf("first answer after %v", took)
		}
	}
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = program.Wait()
}
