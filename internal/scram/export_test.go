package scram

// VerifierUnder is Verifier under a salt that is known.
var VerifierUnder = verifier
