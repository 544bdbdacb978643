package devpg

// FindBinaries lets tests say which places are the usual ones.
var FindBinaries = findBinaries

// Version is what usual places are ordered by.
var Version = version

// PID is the process id of a started server.
func (s *Server) PID() int { return s.proc.cmd.Process.Pid }

// Dir is the directory of a started server.
func (s *Server) Dir() string { return s.dir.path }
