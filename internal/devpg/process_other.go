//go:build !linux

package devpg

import "syscall"

// processAttributes run a program as cred, out of reach of the terminal's Ctrl-C. There is no signal for the death of
// a parent here: the reaper ends the server.
func processAttributes(cred *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred, Setpgid: true}
}
