package main

import (
	"slices"
	"strings"
	"testing"
)

// TestSignUpTakesADatabaseThatWasMadeAhead follows the stock of one database, to which a connection is held, over two
// sign-ups.
func TestSignUpTakesADatabaseThatWasMadeAhead(t *testing.T) {
	r := start(t, setup{prefix: "warm_", warm: 1})
	var taken []string
	for i := range 2 {
		var stock []string
		eventually(t, "another database is ready, with a connection to it", func() bool {
			stock = column(t, r.registry, `SELECT w.id FROM pgtenancy.warm_databases w
				JOIN pg_stat_activity a ON a.datname = w.database
				WHERE w.state = 'ready' AND a.state = 'idle' AND a.query = 'rollback'`)
			return len(stock) == 1 && !slices.Contains(taken, stock[0])
		})
		church := r.register(t, []string{"first", "second"}[i])
		if church.Church.ID != stock[0] {
			t.Errorf("got %q, and %q was ready", church.Church.ID, stock[0])
		}
		taken = append(taken, church.Church.ID)
	}
	for _, id := range taken {
		for _, step := range []string{`"step":"database"`, `"step":"access"`} {
			for line := range strings.Lines(r.logs.String()) {
				if strings.Contains(line, id) && strings.Contains(line, step) {
					t.Errorf("done while somebody waited: %s", line)
				}
			}
		}
	}
}
