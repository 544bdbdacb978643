package registry

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// process names one run of a program on a machine: processes with the same space see one another by their pid.
type process struct {
	space string // which boot of which machine, and which PID namespace
	pid   int
	start string // in clock ticks since the machine was booted: a pid is used again
}

// ownProcess returns this process; the zero process where /proc does not say, as on any system but Linux.
func ownProcess() process {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return process{}
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return process{}
	}
	p := process{space: strings.TrimSpace(string(boot)) + "/" + namespace, pid: os.Getpid()}
	var alive bool
	if p.start, alive = started(p.pid); !alive {
		return process{}
	}
	return p
}

// String returns what parseProcess reads; nothing for the zero process.
func (p process) String() string {
	if p.space == "" {
		return ""
	}
	return p.space + "/" + strconv.Itoa(p.pid) + "/" + p.start
}

// parseProcess returns the zero process for anything that String did not return.
func parseProcess(s string) process {
	fields := strings.Split(s, "/")
	if len(fields) != 4 || fields[0] == "" || fields[1] == "" || fields[3] == "" {
		return process{}
	}
	pid, err := strconv.Atoi(fields[2])
	if err != nil || pid <= 0 {
		return process{}
	}
	return process{space: fields[0] + "/" + fields[1], pid: pid, start: fields[3]}
}

// sees reports whether p can tell that other has ended.
func (p process) sees(other process) bool { return p.space != "" && p.space == other.space }

// ended reports that other, which p sees, has ended for certain. A stopped process has not.
func (p process) ended(other process) bool {
	if !p.sees(other) {
		return false
	}
	found, err := os.FindProcess(other.pid)
	if err == nil {
		err = found.Signal(syscall.Signal(0))
		_ = found.Release()
	}
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return true
	}
	start, alive := started(other.pid)
	return start != "" && (!alive || start != other.start)
}

// started returns when the process with that pid began, and whether it lives and not only waits for its parent. It
// returns nothing if /proc does not show it, as it may hide processes of other users.
func started(pid int) (start string, alive bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false
	}
	// The second field is the name, in parentheses, and may hold anything. The third is the state, the 22nd the start.
	const state, startTime = 0, 19
	rest := string(text)
	fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:])
	if len(fields) <= startTime {
		return "", false
	}
	return fields[startTime], !strings.Contains("ZXx", fields[state])
}
