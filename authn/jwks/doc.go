// Package jwks publishes the public keys that access tokens are verified with, and verifies tokens with keys that
// another service publishes. Both speak of one thing, a JWK set (RFC 7517) of Ed25519 keys (RFC 8037).
//
// A [Handler] is for the service that issues tokens. A [Remote] is for the others: it is a verifier as
// [github.com/pgtenancy/pgtenancy/authn.Verifier] is, holds no secret, and goes where that goes.
//
// # Rotation
//
// Publish a key before anyone signs with it, for at least [HandlerConfig.MaxAge] and [RemoteConfig.Interval] together:
// 10 minutes by default. Every Remote then knows it in time, and no request is refused. A Remote that meets a key it
// does not know asks for the set, but no more often than [RemoteConfig.Cooldown] allows: a key that signs unannounced
// may be refused for so long. A key that is taken out of the set is refused by a Remote after the Interval.
package jwks
