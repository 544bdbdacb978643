package main

func ofTenancy() []mutant {
	return []mutant{{
		name: "the lease count",
		file: "tenancy/entry.go",
		old:  "if e.leases--; e.leases > 0 {",
		new:  "if e.leases--; false {",
		test: "./tenancy TestEvictWaitsForLastLease|TestSecondReleaseTakesNoOtherHoldersLease",
	}, {
		name: "one lease, one release",
		file: "tenancy/lease.go",
		old:  "if l.released.CompareAndSwap(false, true) {",
		new:  "if l.released.Swap(true); true {",
		test: "./tenancy TestSecondReleaseTakesNoOtherHoldersLease",
	}, {
		name: "the once in a socket's Close",
		file: "tenancy/sockets.go",
		old:  "\tc.once.Do(func() {\n\t\tc.leave()\n\t\tif half",
		new:  "\tnew(sync.Once).Do(func() {\n\t\tc.leave()\n\t\tif half",
		test: "./tenancy TestConnectionThatFailsGivesItsPermitBack|TestCancelledQueriesLoseNoPermit",
	}, {
		name: "FIFO order of those who wait for a permit",
		file: "internal/connbudget/budget.go",
		old:  "b.queue = append(b.queue, w)",
		new:  "b.queue = append([]*waiter{w}, b.queue...)",
		test: "./internal/connbudget TestPermitsAreGivenInTheOrderInWhichTheyWereAskedFor",
	}, {
		name: "the connection that is closed when it is released, for another tenant",
		file: "internal/connbudget/preempt.go",
		old:  "if !a.mustPreempt() {",
		new:  "if a.mustPreempt(); true {",
		test: "./tenancy TestGreedyTenantStarvesNobody|TestTenantBeyondItsShareYields",
	}, {
		name: "one permit for all addresses of a connect",
		file: "internal/connbudget/permit.go",
		old:  "\tcase spare:\n\t\treturn nil\n\tcase granted:\n\t\treturn net.ErrClosed\n\tcase",
		new:  "\tcase spare && granted && false:\n\t\treturn net.ErrClosed\n\tcase",
		test: "./tenancy TestConnectsThatTryASecondAddressDoNotWaitForEachOther",
	}, {
		name: "the epoch check before a pool is published",
		file: "tenancy/opening.go",
		old:  "\tcase o.outdated(rec):\n\t\tr.evictLocked(e, CauseChanged,",
		new:  "\tcase false:\n\t\tr.evictLocked(e, CauseChanged,",
		test: "./tenancy TestInvalidateWinsOverAPoolJustMade|TestInvalidateWinsOverAnOpeningThatWaitsForASlot",
	}, {
		name: "the fence",
		file: "tenancy/guard.go",
		old:  "if g.r.cfg.Fence {",
		new:  "if g.r.cfg.Fence && false {",
		test: "./tenancy TestFenceLetsOnlyTheTenantOfTheMarkIn",
	}, {
		name: "the breaker",
		file: "tenancy/breaker.go",
		old:  "return b.threshold > 0 && b.failures >= b.threshold",
		new:  "return false",
		test: "./tenancy TestBreakerOpensForOneServerAndTriesAgain",
	}, {
		name: "the separate memory of unknown ids",
		file: "tenancy/notfound.go",
		old:  "n.until.Add(id, now+n.ttl)",
		new:  "_ = now",
		test: "./tenancy TestUnknownTenantIsRememberedForNotFoundTTL",
	}, {
		name: "one look-up for all who wait",
		file: "tenancy/opening.go",
		old:  "\tr.openings[id] = o\n\tr.wg.Add(1)",
		new:  "\tr.wg.Add(1)",
		test: "./tenancy TestThousandFirstRequestsAskOnce",
	}, {
		name: "the pool closed after its leases",
		file: "tenancy/entry.go",
		old:  "\tcase <-e.drained:\n\tcase <-o.sockets.isCut:",
		new:  "\tcase <-e.drained:\n\tdefault:",
		test: "./tenancy TestEvictWaitsForLastLease",
	}, {
		name: "no sleep under a lease",
		file: "tenancy/sweep.go",
		old:  "e.pool == nil || e.leases > 0:",
		new:  "e.pool == nil:",
		test: "./tenancy TestLeasedPoolDoesNotSleep",
	}, {
		name: "the pool of one who is evicted while it wakes",
		file: "tenancy/sweep.go",
		old:  "unwanted := e.state != active",
		new:  "unwanted := false",
		test: "./tenancy TestEvictionOfOneThatWakesLeavesNoPool",
	}, {
		name: "the copy of an id that is kept",
		file: "tenancy/opening.go",
		old:  "\tid = ID(strings.Clone(string(id)))",
		new:  "\t_ = strings.Clone(string(id))",
		test: "./tenancy FuzzCallersReuseTheMemoryOfTheirStrings",
	}, {
		name: "the copy of a record",
		file: "tenancy/opening.go",
		old:  "rec.tenant = rec.tenant.clone()",
		new:  "_ = rec.tenant.clone()",
		test: "./tenancy FuzzCallersReuseTheMemoryOfTheirStrings",
	}, {
		name: "the pool that stays when only the password changed",
		file: "tenancy/tenant.go",
		old:  "a.Password, b.Password = Secret{}, Secret{}",
		new:  "",
		test: "./tenancy TestLeaseGoesOnWhenItsTargetStaysTheSame|TestRotationCutsNothingAndNewConnectionsHaveTheNewPassword",
	}, {
		name: "the new password for new connections",
		file: "tenancy/guard.go",
		old:  "cc.Password = password.Reveal()",
		new:  "_ = password",
		test: "./tenancy TestRotationCutsNothingAndNewConnectionsHaveTheNewPassword",
	}, {
		name: "the look-up that an announced change begins",
		file: "tenancy/resolver.go",
		old:  "r.beginLocked(id).invalidate(epoch)",
		new:  "_ = looking",
		test: "./tenancy TestLeaseIsOverWhenItsTenantIsNoLongerServedThere",
	}, {
		name: "no bridge over an announced change",
		file: "tenancy/entry.go",
		old:  "now >= end || e.announced {",
		new:  "now >= end {",
		test: "./tenancy TestLeaseIsOverWhenItsTenantIsNoLongerServedThere",
	}, {
		name: "the renewal of connections",
		file: "tenancy/pool.go",
		old:  "\t\to.pgxPool.Reset()",
		new:  "",
		test: "./tenancy TestRenewedConnectionsRememberNothing",
	}, {
		name: "the renewal at the first statement that is out of date",
		file: "tenancy/guard.go",
		old:  "|| isOutOfDate(err)",
		new:  "",
		test: "./tenancy TestFirstStatementThatIsOutOfDateRenewsAllConnections",
	}, {
		name: "the bound of the wait for a tenant's own connections",
		file: "internal/connbudget/acquire.go",
		old:  "if a.exhausted() {",
		new:  "if false {",
		test: "./tenancy TestQueryWaitsForItsTenantsConnectionsNoLongerThanBudgetWait",
	}, {
		name: "the settings by which a server notices that a client is gone",
		file: "tenancy/guard.go",
		old:  "\t\tg.addKeepalives(cc)\n",
		new:  "",
		test: "./tenancy TestQueryOfAClientThatIsGoneEnds",
	}}
}
