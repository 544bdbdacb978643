package accounts

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pgtenancy/pgtenancy/registry"
)

const (
	minPassword  = 8    // OWASP ASVS 5.0, 6.2.1
	maxPassword  = 1024 // bytes; bounds what is hashed
	maxNameRunes = 100
	maxKey       = 255 // bytes; what the registry keeps
)

// check returns the e-mail, or an *InputError that names every field that is wrong at once.
func (s *SignUp) check() (registry.Email, error) {
	fields := map[string]string{}
	email, err := registry.ParseEmail(s.Email)
	if err != nil {
		fields["email"] = "must be an e-mail address"
	}
	if problem := checkPassword(s.Password); problem != "" {
		fields["password"] = problem
	}
	if len(s.IdempotencyKey) > maxKey || !utf8.ValidString(s.IdempotencyKey) || strings.ContainsRune(s.IdempotencyKey, 0) {
		fields["idempotencyKey"] = "must be text of at most 255 bytes"
	}
	for name, value := range map[string]*string{
		"firstName": &s.FirstName, "lastName": &s.LastName, "organization": &s.Organization,
	} {
		*value = strings.Clone(strings.TrimSpace(*value)) // the Session keeps it
		if problem := checkName(*value); problem != "" {
			fields[name] = problem
		}
	}
	if len(fields) > 0 {
		return registry.Email{}, &InputError{Fields: fields}
	}
	return email, nil
}

func checkPassword(p string) string {
	switch {
	case utf8.RuneCountInString(p) < minPassword:
		return "must have at least 8 characters"
	case len(p) > maxPassword:
		return "must have at most 1024 bytes"
	}
	return ""
}

func checkName(s string) string {
	switch {
	case s == "":
		return "is required"
	case utf8.RuneCountInString(s) > maxNameRunes:
		return "must have at most 100 characters"
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "must not have control characters"
	}
	return ""
}
