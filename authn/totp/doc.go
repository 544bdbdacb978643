// Package totp is a second factor for package accounts: the codes of six digits that an authenticator application shows
// for thirty seconds (RFC 6238). It is a module of its own, so that programs without it need not its dependencies.
//
//	factor, err := totp.New(totp.Config{Registry: reg, Issuer: "Acme"})
//	...
//	accounts.New(accounts.Config{SecondFactor: factor, ...})
//
// An admin enrolls with [TOTP.Enroll], which returns what their application scans, and [TOTP.Confirm], which takes the
// first code; from then on a sign-in asks for one. A code is good for its thirty seconds and the thirty on either side,
// and once. Secrets are sealed in the registry. There are no recovery codes: [TOTP.Remove] is for an operator who has
// made sure that it is that person.
//
// Everything is in totp.go.
package totp
