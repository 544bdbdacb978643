// Package prose holds the rules for words and lines that make lint checks in all Go files and pages: at most 120
// columns, and none of the phrases that make a text read as translated.
//
// Check has the rules, and accent.go the phrases. The test reads the whole tree.
package prose
