// Package connstring keeps the connection string that a configuration was parsed from away from those who get a copy
// that leads elsewhere. pgx keeps the string through every change of the fields, so that a tool which is given
// ConnString would work on another database, in another name, and say nothing.
package connstring

import (
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
)

// Nowhere is what ConnString returns instead. Every host under "invalid" is unknown (RFC 6761), and the name is in the
// error.
const Nowhere = "postgres://no-connection-string-use-the-config-itself.invalid:1/none?sslmode=disable&connect_timeout=5"

// Remove returns a copy of cc whose ConnString is Nowhere. Everything else is as in cc.
func Remove(cc *pgx.ConnConfig) (*pgx.ConnConfig, error) {
	bare, err := pgx.ParseConfig(Nowhere) // the string is set by that alone
	if err != nil {
		return nil, fmt.Errorf("environment variables of libpq: %w", err)
	}
	from, to := reflect.ValueOf(cc.Copy()).Elem(), reflect.ValueOf(bare).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return bare, nil
}
