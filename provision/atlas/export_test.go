package atlas

import "github.com/pgtenancy/pgtenancy/provision"

// DatabaseURL is databaseURL with the default policy.
var DatabaseURL = databaseURL

// WithScratch is withScratch.
var WithScratch = withScratch

// Statements are those of the first file of Migrations, if it is run without a transaction.
func Statements(s provision.Schema) ([]string, bool) {
	m, ok := s.(*migrations)
	if !ok {
		return nil, false
	}
	return m.list[0].statements, m.list[0].statements != nil
}
