package fingerprint

// Queries is queriesOf.
func Queries(major int) []string { return queriesOf(major) }

// MajorVersion is majorVersion.
func MajorVersion(version string) int { return majorVersion(version) }
