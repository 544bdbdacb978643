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
// A session is a pair of tokens: an access token that any service verifies alone, and a refresh token that is
// exchanged for its successor at each use.
package accounts
