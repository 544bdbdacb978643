package prose

import (
	"go/scanner"
	"go/token"
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxColumns is how long a line may be, in characters; a tab is one.
const MaxColumns = 120

// longLiteral is how much of a line in literals excuses it: SQL and messages are found by searching for them, and read
// in tables.
const longLiteral = 60

// Finding is a line that breaks a rule.
type Finding struct {
	Line int // from 1
	Text string
}

// Go checks the text of a Go file: its lines, its comments, and the messages that are string literals with a space in
// them. Test files are free in their literals.
func Go(text string, test bool) []Finding {
	lines := strings.Split(text, "\n")
	literals := map[int]int{} // characters of literals in a line
	var found []Finding
	file := token.NewFileSet().AddFile("", 1, len(text))
	var s scanner.Scanner
	s.Init(file, []byte(text), nil, scanner.ScanComments)
	var comment paragraph
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		line := file.Line(pos)
		switch tok {
		case token.COMMENT:
			comment.add(&found, line, strings.TrimPrefix(lit, "//"))
		case token.STRING:
			for n, part := range strings.Split(lit, "\n") {
				literals[line+n] += utf8.RuneCountInString(part)
			}
			if !test && strings.Contains(lit, " ") {
				found = append(found, phrases(line, lit)...)
			}
		}
	}
	comment.end(&found)
	for i, l := range lines {
		if literals[i+1] >= longLiteral || strings.Contains(l, "//nolint") || strings.HasPrefix(l, "//go:") {
			continue
		}
		found = append(found, columns(i+1, l)...)
	}
	return found
}

var code = regexp.MustCompile("`[^`]*`|\\]\\([^)]*\\)")

// Markdown checks the text of a page: its lines but for tables, code and addresses, and its words outside of code.
func Markdown(text string) []Finding {
	var found []Finding
	var p paragraph
	fenced := false
	for i, l := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(l), "```") {
			fenced = !fenced
			continue
		}
		table := strings.HasPrefix(strings.TrimSpace(l), "|")
		if fenced {
			continue
		}
		if !table && strings.Contains(strings.TrimSpace(l), " ") {
			found = append(found, columns(i+1, l)...)
		}
		p.add(&found, i+1, code.ReplaceAllString(l, "code"))
		if table || strings.TrimSpace(l) == "" {
			p.end(&found)
		}
	}
	p.end(&found)
	return found
}

// paragraph joins lines that follow each other, since a phrase may stand across two of them.
type paragraph struct {
	first int
	lines []string
}

func (p *paragraph) add(found *[]Finding, line int, text string) {
	if len(p.lines) > 0 && line != p.first+len(p.lines) {
		p.end(found)
	}
	if len(p.lines) == 0 {
		p.first = line
	}
	p.lines = append(p.lines, strings.TrimSpace(text))
}

func (p *paragraph) end(found *[]Finding) {
	*found = append(*found, phrases(p.first, strings.Join(p.lines, "\n"))...)
	p.lines = nil
}

// phrases finds the accent in a text that begins on a line.
func phrases(first int, text string) (found []Finding) {
	flat := strings.ReplaceAll(text, "\n", " ")
	for _, a := range accent() {
		for _, at := range a.pattern.FindAllStringSubmatchIndex(flat, -1) {
			if len(at) > 2 && at[2] >= 0 {
				continue
			}
			found = append(found, Finding{
				first + strings.Count(text[:at[0]], "\n"), `"` + strings.TrimSpace(flat[at[0]:at[1]]) + `": ` + a.instead,
			})
		}
	}
	return found
}

func columns(line int, text string) []Finding {
	if utf8.RuneCountInString(text) <= MaxColumns {
		return nil
	}
	return []Finding{{line, "more than 120 columns"}}
}
