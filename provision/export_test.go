package provision

import (
	"context"
	"slices"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// SetFailpoints sets where and how tests hurt what c configures.
func (c *Config) SetFailpoints(s *failpoint.Set) { c.failpoints = s }

// KeepWarm is keepWarm: the part of Run that holds warm databases ready.
func (p *Provisioner) KeepWarm(ctx context.Context) { p.keepWarm(ctx) }

// KeepSessions has sessions kept, as Run does, until the function it returns is called.
func (p *Provisioner) KeepSessions() (end func()) { return p.adminSessions.run() }

// Holds reports whether a connection to the warm database of that id is held.
func (p *Provisioner) Holds(id tenancy.ID) bool { return slices.Contains(p.warmConns.ids(""), id) }
