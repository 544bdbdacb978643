package devpg

import "context"

// FindBinaries lets tests say which places are the usual ones.
var FindBinaries = findBinaries

// Version is what usual places are ordered by.
var Version = version

// PID is the process id of a started server.
func (s *Server) PID() int { return s.proc.cmd.Process.Pid }

// Dir is the directory of a started server.
func (s *Server) Dir() string { return s.dir.path }

// PrebuiltFor returns the address and the pinned digest of a system's build.
func PrebuiltFor(goos, goarch string) (url, integrity string, ok bool) {
	b, ok := prebuiltFor(goos, goarch)
	return b.url, b.integrity, ok
}

// InstallPrebuilt installs the archive at url, whose digest must be integrity, into cache.
func InstallPrebuilt(ctx context.Context, url, integrity, cache string) (string, error) {
	return prebuilt{url, integrity}.install(ctx, cache)
}
