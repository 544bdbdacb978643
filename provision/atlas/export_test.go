package atlas

// DatabaseURL is databaseURL with the default policy.
var DatabaseURL = databaseURL
