package tenancytest

import "time"

// SlowServer makes every answer of the server come later by delay, for this fleet alone. A large answer comes in
// several pieces, each of which is late. It holds until HealServer or another fault.
func (f *Fleet) SlowServer(delay time.Duration) { f.link.set(linkState{delay: delay}) }

// HangServer keeps the server from answering, as a machine that has stopped or a network that loses everything does:
// queries and new connections of this fleet wait until their context ends, or their time-out. It holds until HealServer
// or another fault; then what waits goes on.
func (f *Fleet) HangServer() { f.link.set(linkState{hung: true}) }

// StopServer resets all connections of this fleet to the server, and lets new ones be refused, as the end of the server
// does. It holds until HealServer or another fault. After tenancy.Config.BreakerThreshold refused connections, queries
// get tenancy.ErrServerDown without a dial.
func (f *Fleet) StopServer() { f.link.set(linkState{down: true}) }

// HealServer ends SlowServer, HangServer and StopServer. A breaker that opened meanwhile lets the next attempt through
// within two seconds.
func (f *Fleet) HealServer() { f.link.set(linkState{}) }
