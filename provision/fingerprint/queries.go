package fingerprint

import (
	_ "embed" // for catalog.sql
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

//go:embed catalog.sql
var catalogSQL string

// settings fixes whatever changes the text that PostgreSQL prints for the same definition, until the end of the
// transaction. They are the settings of pg_dump, and TimeZone, which decides how a constant of type timestamptz looks.
// Compiling queries of this kind to machine code (jit) takes far longer than running them.
//
// The names are qualified, so that an administrator never calls a function that a tenant created in the database.
const settings = `SELECT
	pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), pg_catalog.set_config('DateStyle', 'ISO', true),
	pg_catalog.set_config('IntervalStyle', 'postgres', true), pg_catalog.set_config('TimeZone', 'UTC', true),
	pg_catalog.set_config('extra_float_digits', '3', true), pg_catalog.set_config('bytea_output', 'hex', true),
	pg_catalog.set_config('quote_all_identifiers', 'off', true),
	pg_catalog.set_config('standard_conforming_strings', 'on', true), pg_catalog.set_config('jit', 'off', true)`

// queriesOf are the queries of catalog.sql for a major version of PostgreSQL.
func queriesOf(major int) []string {
	var text strings.Builder
	for line := range strings.Lines(catalogSQL) {
		if code, ok := understood(line, major); ok {
			text.WriteString(code + "\n")
		}
	}
	sql := text.String()
	for _, catalogue := range []string{
		"pg_namespace", "pg_class", "pg_type", "pg_proc", "pg_language",
		"pg_event_trigger",
	} {
		sql = strings.ReplaceAll(sql, "$extension("+catalogue+")", fmt.Sprintf(`(SELECT objid FROM pg_depend
			WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND classid = '%s'::regclass)`, catalogue))
	}
	for _, column := range []string{"connamespace", "typnamespace", "pronamespace"} {
		sql = strings.ReplaceAll(sql, "$temporary("+column+")",
			fmt.Sprintf("(%[1]s = pg_my_temp_schema() OR pg_is_other_temp_schema(%[1]s))", column))
	}
	return strings.Split(strings.TrimSpace(sql), ";\n")
}

// understood returns a line of catalog.sql without its comment, if it is for servers of this major version.
func understood(line string, major int) (code string, ok bool) {
	code, comment, _ := strings.Cut(strings.TrimRight(line, "\n"), "--")
	code = strings.TrimRight(code, " ")
	condition, number, _ := strings.Cut(strings.TrimSpace(comment), " ")
	version, err := strconv.Atoi(number)
	switch {
	case err == nil && condition == "since":
		return code, major >= version
	case err == nil && condition == "before":
		return code, major < version
	}
	return code, code != ""
}

// majorVersion is the number that a server's version begins with: 15 of "15.18 (Debian 15.18-0+deb12u1)", 18 of
// "18beta1".
func majorVersion(version string) int {
	digits := regexp.MustCompile(`^\d+`).FindString(version)
	major, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return major
}
