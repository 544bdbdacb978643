package atlas

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"ariga.io/atlas/sql/migrate"

	"github.com/pgtenancy/pgtenancy/internal/pgerr"
)

// checkSQL refuses text that PostgreSQL cannot run as it stands.
func checkSQL(text string) error {
	switch {
	case strings.ContainsRune(text, 0):
		return errors.New("has a NUL in it: save it as UTF-8")
	case !utf8.ValidString(text):
		return errors.New("is not UTF-8: save it as such")
	case strings.HasPrefix(text, "\ufeff"):
		return errors.New("begins with a byte order mark: save it as UTF-8 without one")
	}
	return checkCopy(text)
}

// checkCopy refuses COPY FROM stdin, for whose rows PostgreSQL would wait for ever. Text that cannot be divided into
// statements has rows in it, or is refused by PostgreSQL.
func checkCopy(text string) error {
	copies := regexp.MustCompile(`(?is)\bCOPY\b[^;]*\bFROM\s+STDIN\b`)
	at := copies.FindStringIndex(text)
	if at == nil {
		return nil
	}
	list, err := divide(text)
	begins := func(s *migrate.Stmt) bool {
		return strings.EqualFold(s.Text[:min(len("COPY"), len(s.Text))], "COPY") && copies.MatchString(s.Text)
	}
	for _, s := range list {
		if begins(s) {
			at, err = []int{s.Pos}, errors.ErrUnsupported
			break
		}
	}
	if err == nil {
		return nil // in a comment, a string or a function
	}
	return fmt.Errorf("line %d: COPY FROM stdin needs psql: write INSERT, or dump with pg_dump --inserts or --schema-only",
		1+strings.Count(text[:at[0]], "\n"))
}

// divide divides text into statements.
func divide(text string) ([]*migrate.Stmt, error) {
	return (&migrate.Scanner{ScannerOptions: migrate.ScannerOptions{
		MatchBeginAtomic: true, MatchDollarQuote: true, EscapedStringExt: true,
	}}).Scan(text)
}

// advise says what to do about err if PostgreSQL refused a command of psql at the position-th character of text.
func advise(text string, position int, err error) error {
	lines := strings.Split(text, "\n")
	if !pgerr.IsState(err, pgerr.SyntaxError) ||
		!strings.HasPrefix(strings.TrimSpace(lines[line(text, position)-1]), `\`) {
		return err
	}
	return fmt.Errorf(`%w: a line that begins with \ is a command of psql: remove it `+
		`(pg_dump writes \restrict and \unrestrict)`, err)
}
