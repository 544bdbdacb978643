package devpg

import (
	"context"
	"io"
	"os/exec"
	"strconv"
)

// reaperScript waits for a word on its input. If the input ends without one, this process has died: it ends the server,
// if that is still the one of the directory, and removes a temporary directory. $1 is the directory, $2 the server's
// pid, $3 what to remove, or nothing.
const reaperScript = `
read -r word && exit
running() { [ "$(head -n 1 "$1/data/postmaster.pid")" = "$2" ] && kill -0 "$2"; }
tries=0
while running "$1" "$2" && [ $tries -lt 100 ]; do
	kill -QUIT "$2"
	sleep 0.1
	tries=$((tries + 1))
done
[ -z "$3" ] || rm -rf "$3"`

// reaper is a shell that outlives this process, if this process is killed, to clean up after it.
type reaper struct {
	cmd   *exec.Cmd
	input io.WriteCloser
}

// startReaper returns nil where there is no shell: then the next Start removes the directory.
func startReaper(ctx context.Context, dir *directory, pid int) *reaper {
	remove := ""
	if dir.temporary {
		remove = dir.path
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), //nolint:gosec // a constant script, with our own arguments
		"/bin/sh", "-c", reaperScript, "reaper", dir.path, strconv.Itoa(pid), remove)
	cmd.Dir = "/"
	cmd.SysProcAttr = processAttributes(nil, 0) // out of reach of Ctrl-C, and no signal when this process dies
	input, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	return &reaper{cmd: cmd, input: input}
}

// dismiss ends the reaper without cleaning up.
func (r *reaper) dismiss() {
	if r == nil {
		return
	}
	_, _ = io.WriteString(r.input, "done\n") // it may have been killed
	_ = r.input.Close()
	_ = r.cmd.Wait()
}
