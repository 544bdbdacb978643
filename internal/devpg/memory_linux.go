package devpg

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

const (
	sharedMemory = "/dev/shm"

	// tmpfsMagic is TMPFS_MAGIC of statfs(2).
	tmpfsMagic = 0x01021994

	// memoryToSpare is for the files of several servers, of 1 GiB each at most in this project's tests.
	memoryToSpare = 8 << 30
)

// memoryDirectory returns a directory whose files are in memory, or "" where there is not enough of it.
func memoryDirectory() string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(sharedMemory, &fs); err != nil || int64(fs.Type) != tmpfsMagic { //nolint:unconvert // int32 on some
		return ""
	}
	if fs.Bavail*uint64(fs.Bsize) < memoryToSpare || memoryAvailable() < memoryToSpare { //nolint:gosec // a block's size is positive
		return ""
	}
	return sharedMemory
}

// memoryAvailable returns the bytes that proc(5) calls MemAvailable, or 0.
func memoryAvailable() uint64 {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(info) {
		var kib uint64
		if n, _ := fmt.Sscanf(string(line), "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
