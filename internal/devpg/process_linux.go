package devpg

import "syscall"

// processAttributes run a program as cred, out of reach of the terminal's Ctrl-C, and let the kernel send it
// deathSignal when the thread that starts it ends.
func processAttributes(cred *syscall.Credential, deathSignal syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred, Setpgid: true, Pdeathsig: deathSignal}
}
