package authn

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// MinPasswordLength is the shortest password that Hash takes, in characters (OWASP ASVS 5.0, 6.2.1).
	MinPasswordLength = 8

	// MaxPasswordLength is the longest password, in bytes. It bounds the work on an unauthenticated path; nothing is
	// ever cut off.
	MaxPasswordLength = 1024

	// minContextWord is the shortest word, in characters, that does not count in a password. Shorter ones are parts of
	// others.
	minContextWord = 4

	// breachedTimeout bounds HasherConfig.Breached, and breachedCalls how many calls of it are under way.
	breachedTimeout = 2 * time.Second
	breachedCalls   = 16
)

// commonText is the 10,000 commonest passwords of at least MinPasswordLength characters, in lower case and each on a
// line of its own, the commonest first: see NOTICE. A few follow that other lists begin with.
//
//go:embed common.txt
var commonText string

func commonPasswords() map[string]struct{} {
	set := make(map[string]struct{})
	for word := range strings.FieldsSeq(commonText) {
		set[word] = struct{}{}
	}
	return set
}

// Check applies the rules for a new password, and does no I/O. It returns
//
//   - [ErrPasswordInvalid] if password is not UTF-8 or has the character U+FFFD: what decodes JSON replaces every byte
//     that is not UTF-8 by it, and makes many passwords one;
//   - [ErrPasswordTooLong] over MaxPasswordLength bytes, and [ErrPasswordTooShort] under MinPasswordLength characters,
//     where spaces at the ends and characters that cannot be seen do not count;
//   - [ErrPasswordCommon] if it is one of the 10,000 commonest, in any case;
//   - [ErrPasswordContext] if fewer than MinPasswordLength characters are left without the words of
//     HasherConfig.ContextWords and of about. These are names that are known of the user: the organization's, the
//     e-mail address. Each is cut into words, of which those of four characters and more count, in any case.
//
// There are no rules on which characters a password must have (ASVS 6.2.5).
func (h *Hasher) Check(password string, about ...string) error {
	switch {
	case !utf8.ValidString(password) || strings.ContainsRune(password, utf8.RuneError):
		return ErrPasswordInvalid
	case len(password) > MaxPasswordLength:
		return ErrPasswordTooLong
	case length(password) < MinPasswordLength:
		return ErrPasswordTooShort
	}
	lower := strings.ToLower(password)
	if _, ok := h.common[lower]; ok {
		return ErrPasswordCommon
	}
	if length(without(lower, words(slices.Concat(h.contextWords, about)))) < MinPasswordLength {
		return ErrPasswordContext
	}
	return nil
}

// length is the number of characters that can be seen, and of spaces between them.
func length(password string) (n int) {
	for _, r := range strings.TrimSpace(password) {
		if unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
			n++
		}
	}
	return n
}

// words are the words of names, in lower case, the longest first.
func words(names []string) []string {
	var all []string
	for _, name := range names {
		for word := range strings.FieldsFuncSeq(strings.ToLower(name), func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsNumber(r)
		}) {
			if utf8.RuneCountInString(word) >= minContextWord {
				all = append(all, word)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

func without(password string, words []string) string {
	for _, w := range words {
		password = strings.ReplaceAll(password, w, "")
	}
	return password
}

// checkBreached asks HasherConfig.Breached. What that cannot say in time is no refusal.
func (h *Hasher) checkBreached(ctx context.Context, password string) error {
	if h.breached == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, breachedTimeout)
	defer cancel()
	if h.breachedGate.enter(ctx) != nil {
		return nil
	}
	defer h.breachedGate.leave()
	if known, err := h.breached(ctx, password); err == nil && known {
		return ErrPasswordBreached
	}
	return nil
}
