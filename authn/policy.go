package authn

import (
	_ "embed"
	"strings"
	"unicode/utf8"
)

const (
	// MinPasswordLength is the shortest password that Hash takes, in characters (OWASP ASVS 5.0, 6.2.1).
	MinPasswordLength = 8

	// MaxPasswordLength is the longest password, in bytes. It bounds the work on an unauthenticated path; nothing is
	// ever cut off.
	MaxPasswordLength = 1024
)

// common.txt holds the passwords that lists of leaked ones begin with, lower case, without those that are too short.
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

// check applies the rules for a new password. There are none on which characters it must have (ASVS 6.2.5).
func (h *Hasher) check(password string) error {
	if len(password) > MaxPasswordLength {
		return ErrPasswordTooLong
	}
	if utf8.RuneCountInString(password) < MinPasswordLength {
		return ErrPasswordTooShort
	}
	if _, ok := h.common[strings.ToLower(password)]; ok {
		return ErrPasswordCommon
	}
	return nil
}
