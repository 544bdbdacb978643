// Package catalog is the protocol of the registry's rows: the calls that are half of a job. Package provision does the
// other half in the servers, and package authn/accounts in tenants' databases. All others use package registry. [Of]
// returns the Catalog of a registry.
//
// # The life of a tenant
//
// [Catalog.Reserve] writes the intent before anything else is made, and returns a [Claim]: the right of one process to
// work on that tenant until the claim expires. Every write under a claim is fenced by the tenant's attempt and the
// claim's owner, so that a process that was away too long changes nothing. [Catalog.Activate] ends a sign-up;
// [Catalog.Fail], [Catalog.BeginDelete] and [Catalog.ClaimAbandoned] lead to [Catalog.Forget], which alone makes a name
// and an e-mail free again. A warm database has a row of its own until Reserve takes it ([Catalog.PlanWarm]).
//
// # Invariants
//
// A tenant has one claim at most. Activate is the only commit of a sign-up. Every change that a router must see is
// published in the transaction that makes it. All time is the database's. No transaction calls a vault or key service
// while it holds the feed's row.
//
// # Where to read
//
// catalog.go, then claim.go. A sign-up is reserve.go and intent.go, its side effects step.go; what follows is state.go
// and delete.go. warm.go has the warm databases. For accounts: session.go, sessions.go, token.go, throttle.go and
// admin.go. Changes of admins are adminchange.go, with invite.go, member.go and reset.go; what is mailed is
// emailtoken.go and mail.go; ticket.go and factor.go are parts of a sign-in. tenant.go reads rows.
package catalog
