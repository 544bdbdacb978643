package registry

// Placement chooses a server for a new tenant among the open ones with room. It runs while the servers' rows are
// locked, so it must not do I/O.
type Placement func(servers []Server) (name string, err error)
