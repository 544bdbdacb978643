package devpg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/devpg"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// childVariable makes the test binary a process that starts a server in the directory it names, and waits.
const childVariable = "DEVPG_TEST_CHILD_DIR"

func child() {
	s, err := devpg.Start(context.Background(),
		devpg.Config{Dir: strings.TrimPrefix(os.Getenv(childVariable), "temporary")})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(s.PID(), s.Dir())
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent ends or kills us
	_ = s.Stop()
}

func TestServerIsGoneAfterItsProcessIsKilled(t *testing.T) {
	t.Parallel()
	pid, dir := killChild(t, "temporary")
	eventually(t, "server ends", func() bool { return !alive(pid) })
	eventually(t, "its directory is removed", func() bool { return missing(dir) })
}

func TestTemporaryDirectoryThatWasNotRemovedIsRemovedLater(t *testing.T) {
	t.Parallel()
	_, dir := killChild(t, "temporary")
	eventually(t, "its directory is removed", func() bool { return missing(dir) })
	if err := os.Mkdir(dir, 0o700); err != nil { // as if its shell had been killed too
		t.Fatal(err)
	}
	hour := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir, hour, hour); err != nil {
		t.Fatal(err)
	}
	start(t, devpg.Config{})
	if !missing(dir) {
		t.Errorf("directory %s of the killed process is still there", dir)
	}
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

func TestKeptDirectoryOfAKilledProcessStartsAgain(t *testing.T) {
	t.Parallel()
	dir := pgtest.KeptDir(t)
	killChild(t, dir)
	s := start(t, devpg.Config{Dir: dir}) // at once: it waits for the remains of the other server
	for range 20 {                        // and the shell that cleans up after that does not end this server
		if got := query(t, s.Config(), "SELECT 1"); got != "1" {
			t.Errorf("SELECT 1 = %s", got)
		}
	}
}

// killChild starts a server in another process, kills that process, and returns the server's pid and directory.
func killChild(t *testing.T, dir string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait() // reports the kill
	first, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	pid, atoiErr := strconv.Atoi(first)
	if err := errors.Join(err, atoiErr); err != nil {
		t.Fatalf("child said %q: %v", line, err)
	}
	return pid, rest
}

// alive reports whether a process runs. A zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		return !strings.Contains(string(stat), ") Z ")
	}
	return runtime.GOOS != "linux" && syscall.Kill(pid, 0) == nil
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	pgtest.Eventually(t, what, condition)
}
