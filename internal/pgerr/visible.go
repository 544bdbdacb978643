package pgerr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// visible returns what of a server's error never holds a value, or text of a statement.
func visible(e *pgconn.PgError) *pgconn.PgError {
	kept := &pgconn.PgError{Severity: e.Severity, Code: e.Code, Message: message(e), Position: e.Position}
	if raised(e) {
		return kept
	}
	kept.SchemaName, kept.TableName, kept.ColumnName = e.SchemaName, e.TableName, e.ColumnName
	kept.DataTypeName, kept.ConstraintName = e.DataTypeName, e.ConstraintName
	if isHarmless(e) && !strings.HasPrefix(e.Code, "08") { // dblink says there what of a connection string it cannot read
		kept.Detail, kept.Hint = e.Detail, e.Hint
	}
	return kept
}

// message returns the server's message, or what can be said in its stead.
func message(e *pgconn.PgError) string {
	class := e.Code[:min(2, len(e.Code))]
	switch {
	case raised(e) || class == "P0":
		return "raised by a function"
	case isHarmless(e):
		return e.Message
	case e.ConstraintName != "":
		return fmt.Sprintf("constraint %q%s", e.ConstraintName, of(e))
	case e.Code == NotNullViolation:
		return fmt.Sprintf("null value in column %q%s", e.ColumnName, of(e))
	case e.Code == SyntaxError:
		return "syntax error"
	case e.Code == InvalidPassword:
		return "the password was refused"
	case class == "28":
		return "the role was refused"
	case class == "22":
		return "data exception" + in(e)
	case class == "XX" && e.Routine != "":
		return "internal error in " + e.Routine
	}
	return "refused" + in(e)
}

// isHarmless reports whether the message names objects and states, and no values. This list is a security decision.
// It has these classes: feature not supported (0A), connection (08), transaction state (25), dependent privileges and
// objects (2B), names of databases and schemas (3D, 3F), transaction rollback (40), access rule (42, but not syntax
// errors, which quote the statement), resources (53), program limits (54), object state (55), operator (57) and system
// (58). Not in it are, above all, data (22), constraints (23), routines (38, 39, P0), and authorization (28), which
// repeats the connection's user, host and database.
//
// Internal errors (XX) are what extensions use that name no SQLSTATE; PostGIS quotes the geometry it cannot parse. So
// only those of damaged data (XX001, XX002) are in the list, and those of commands on databases.
func isHarmless(e *pgconn.PgError) bool {
	if e.Code == SyntaxError || len(e.Code) != 5 || raised(e) {
		return false
	}
	if e.Code == InternalError {
		return e.File == "dbcommands.c"
	}
	return strings.Contains("0A 08 25 2B 3D 3F 40 42 53 54 55 57 58 XX", e.Code[:2])
}

// raised reports whether a function wrote the error, or another server did: then it can say anything, under any
// SQLSTATE. PostgreSQL tells the routine of its own that passed it on.
func raised(e *pgconn.PgError) bool {
	return slices.Contains([]string{
		"exec_stmt_raise",             // PL/pgSQL
		"PLy_output", "PLy_elog_impl", // PL/Python
		"do_util_elog", "plperl_util_elog", "plperl_call_perl_func", // PL/Perl
		"pltcl_elog", "throw_tcl_error", // PL/Tcl
		"pgfdw_report_error", // postgres_fdw
		"dblink_res_error",   // dblink
	}, e.Routine)
}

// of names the table.
func of(e *pgconn.PgError) string {
	if e.TableName == "" {
		return ""
	}
	return fmt.Sprintf(" of table %q", e.TableName)
}

// in names the column, table or type, whichever PostgreSQL named.
func in(e *pgconn.PgError) string {
	switch {
	case e.ColumnName != "":
		return fmt.Sprintf(" in column %q%s", e.ColumnName, of(e))
	case e.TableName != "":
		return fmt.Sprintf(" in table %q", e.TableName)
	case e.DataTypeName != "":
		return fmt.Sprintf(" in type %q", e.DataTypeName)
	}
	return ""
}
