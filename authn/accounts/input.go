package accounts

import (
	"context"
	"errors"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/registry"
)

const (
	maxNameRunes = 100
	maxKey       = 255 // bytes; what the registry keeps
)

// check returns the e-mail, or an *InputError that names every field that is wrong at once.
func (s *SignUp) check(h *authn.Hasher) (registry.Email, error) {
	fields := s.checkNames()
	email, err := registry.ParseEmail(s.Email)
	if err != nil {
		fields["email"] = "must be an e-mail address"
	}
	var wrong *InputError
	if errors.As(passwordError(h.Check(s.Password, s.Organization, s.Email)), &wrong) {
		maps.Copy(fields, wrong.Fields)
	}
	if len(s.IdempotencyKey) > maxKey || !utf8.ValidString(s.IdempotencyKey) || strings.ContainsRune(s.IdempotencyKey, 0) {
		fields["idempotencyKey"] = "must be text of at most 255 bytes"
	}
	if len(fields) > 0 {
		return registry.Email{}, &InputError{Fields: fields}
	}
	return email, nil
}

// checkNames trims the names, and returns what is wrong with them.
func (s *SignUp) checkNames() map[string]string {
	fields := map[string]string{}
	for name, value := range map[string]*string{
		"firstName": &s.FirstName, "lastName": &s.LastName, "organization": &s.Organization,
	} {
		*value = strings.Clone(strings.TrimSpace(*value)) // the Session keeps it
		if problem := checkName(*value); problem != "" {
			fields[name] = problem
		}
	}
	return fields
}

// checkNames refuses a new password that is made of names which are known of its admin.
func (a *Accounts) checkNames(ctx context.Context, m registry.Membership, p Profile, password string) error {
	tenant, err := a.cfg.Registry.Tenant(ctx, m.TenantID)
	if err != nil {
		return err
	}
	return passwordError(a.cfg.Hasher.Check(password, tenant.Organization.Name, p.Email))
}

// passwordError turns a rule for passwords into a field's error.
func passwordError(err error) error {
	var rule interface{ InvalidFields() map[string]string }
	if !errors.As(err, &rule) {
		return err
	}
	return &InputError{Fields: rule.InvalidFields()}
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
