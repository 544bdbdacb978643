//go:build !linux

package devpg

// memoryDirectory returns "": only Linux has a file system in memory that is always mounted.
func memoryDirectory() string { return "" }
