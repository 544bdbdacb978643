package jwks

// Fetch fetches a set once.
var Fetch = fetch
