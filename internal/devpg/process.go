package devpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// programs runs PostgreSQL's programs in one directory, as its account.
type programs struct {
	bin     string
	dir     *directory
	scratch bool // the data will be thrown away: a crash of the machine may take them
}

// command prepares a program. Its environment has none of the PG* variables of ours, which would change its mind, and
// its messages are English.
func (p programs) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...) //nolint:gosec // PostgreSQL's own programs
	cmd.Dir = p.dir.path
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "PG") })
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	cmd.ExtraFiles = []*os.File{p.dir.lock}
	cmd.SysProcAttr = processAttributes(p.dir.account.credential(), syscall.SIGKILL)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs a program to its end and returns its output with the error, if there is one. ctx governs all of it.
func (p programs) run(ctx context.Context, stdin, name string, args ...string) (string, error) {
	runtime.LockOSThread() // the death signal belongs to the thread
	defer runtime.UnlockOSThread()
	cmd := p.command(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("devpg: run %s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when the server has ended
}

// start starts a program that runs until stop.
func (p programs) start(ctx context.Context, log io.Writer, name string, args ...string) (*process, error) {
	proc := &process{log: &tail{w: log}, done: make(chan struct{})}
	proc.cmd = p.command(context.WithoutCancel(ctx), name, args...)
	proc.cmd.SysProcAttr = processAttributes(p.dir.account.credential(), syscall.SIGQUIT)
	proc.cmd.Stdout, proc.cmd.Stderr = proc.log, proc.log
	started := make(chan error, 1)
	go func() {
		// The death signal comes when the thread ends that started the server, not when the process does. So the
		// thread is this goroutine's alone until the server has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := proc.cmd.Start()
		started <- err
		if err == nil {
			_ = proc.cmd.Wait() // how it ended is in its log and in cmd.ProcessState
			close(proc.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("devpg: start %s: %w", name, err)
	}
	return proc, nil
}

// stop ends the server: politely, then less so. It returns when the server has ended.
func (p *process) stop() error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{
		{syscall.SIGINT, 15 * time.Second},  // fast shutdown: sessions end, a checkpoint is written
		{syscall.SIGQUIT, 10 * time.Second}, // immediate shutdown: the next start recovers
	} {
		_ = p.cmd.Process.Signal(step.signal) // fails only if it has ended
		timeout := time.NewTimer(step.wait)
		select {
		case <-p.done:
			timeout.Stop()
			return nil
		case <-timeout.C:
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return errors.New("devpg: the server ended only when it was killed")
}

// tail passes a log on and remembers its last lines, for the error of a server that does not start.
type tail struct {
	w io.Writer

	mu   sync.Mutex // guards last; w is written without it, by one goroutine at a time
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-2048):]
	t.mu.Unlock()
	return t.w.Write(b)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.last))
}
