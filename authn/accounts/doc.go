// Package accounts signs people up and in, when every customer has a database of their own.
//
// A sign-up checks its input, hashes the password and has [provision.Provisioner.Create] make the tenant. A sign-in
// knows an e-mail and no tenant: the registry's blind index leads from the one to the other, a lease to the tenant's
// database, and the admin's row there to the password hash. Every path through a sign-in runs the password's key
// derivation exactly once and wrong passwords, unknown e-mails and strangers' tenants get one answer,
// [ErrBadCredentials].
//
// An admin exists twice: in the registry, so that an e-mail can be found, and in the tenant's own database, where the
// application's tables refer to it. The tenant's row decides a sign-in. The registry's copy is read when the tenant's
// database cannot be: then it decides whether the caller may know why.
//
// Admins are invited, changed and removed in both rows: the registry decides and writes an intent, the tenant's
// database gets its row, and any process finishes what a dead one has left ([Accounts.Run]). A person of several
// tenants has one password, and chooses after it was found right.
//
// A session is a pair of tokens: an access token that any service verifies alone, and a refresh token that is exchanged
// for its successor at each use.
//
// # Where to read
//
// accounts.go has the Config. A sign-up is signup.go, and verify.go where e-mails are verified first; a sign-in is
// signin.go, authenticate.go, choice.go and factor.go; what it opens is session.go and sessions.go. Who manages admins
// is manager.go, how is invite.go, accept.go and admins.go, and the steps of every change are in change.go. Passwords
// are password.go, alike.go (at several tenants) and reset.go, with mail.go. throttle.go bounds attempts. run.go has
// what is left to do. profile.go and table.go are the rows in a tenant's database.
package accounts
