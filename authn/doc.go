// Package authn hashes passwords and makes and verifies access tokens. It knows nothing of HTTP or PostgreSQL.
//
// # Passwords
//
// A [Hasher] makes argon2id hashes and verifies argon2id and bcrypt ones. Each hash takes about 19 MiB and 30 ms of
// one CPU on a path that anyone on the internet can call, so a Hasher runs a bounded number at once, lets a bounded
// number wait, and answers [ErrBusy] to the rest.
//
// A sign-in must cost the same whether or not the account exists. [Hasher.Verify] and [Hasher.Spend] run exactly one
// key derivation, for any input: call Spend on the paths that have no hash to verify. bcrypt hashes cost
// what they cost, so until an old account has been rehashed (see [Match]) its sign-in takes another time.
//
// # Tokens
//
// An [Issuer] signs access tokens with one [Key]; a [Verifier] holds one or more keys of the same algorithm. Prefer
// Ed25519: a verifier then holds no secret. HS256 is there for services that issue to themselves only.
//
// The tokens are JWTs of type "at+jwt" (RFC 9068) with the claims iss, aud, sub, tid, sid, jti, iat, nbf, exp and, if
// there is one, role. A Verifier accepts what an Issuer makes and nothing more liberal: no other header members, no
// repeated or differently cased claims, no fractional dates, no token over [MaxTokenLength] bytes.
//
// # Rotation of keys
//
// A key passes through four states, and no good token is refused as long as the rules are kept:
//
//   - next: every [Verifier] has it ([Verifier.SetKeys]) and the JWK set holds it, but no process signs with it. It
//     stays so until every verifier is sure to know it: see authn/jwks for readers of the set.
//   - current: the [Issuer] signs with it ([Issuer.SetKey]).
//   - previous: another one signs. Verifiers keep it for the issuer's TTL and the leeway, 15 min 30 s by default, after
//     the last process that signs with it has changed over.
//   - gone: it is taken out of verifiers and set. What it signed is refused at once, also by a [Cache].
//
// SetKeys and SetKey change a process at work; without them, a process learns of new keys at its restart.
// When a key has leaked, skip the waiting: a token of it is refused as soon as it is gone.
package authn
