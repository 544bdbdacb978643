package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestSignUpMakesTenantAndBothAdminRows(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")

	if s.Tenant.State != tenancy.Active {
		t.Errorf("state is %s, want active", s.Tenant.State)
	}
	admin := must(h.Registry.Admin(t.Context(), s.Profile.ID))(t)
	if admin.Email.Reveal() != "ada@example.org" || admin.Role != accounts.RolePrimary {
		t.Error("the registry's admin row is not the one that signed up")
	}
	if got := h.tenantHash(t, s); got != admin.PasswordHash {
		t.Error("the two admin rows hold different password hashes")
	}
	var first, last string
	h.inTenant(t, s, func(ctx context.Context, db *pgxpool.Pool) error {
		return db.QueryRow(ctx, `SELECT first_name, last_name FROM admins`).Scan(&first, &last)
	})
	if first != "Ada" || last != "Byron" {
		t.Errorf("the tenant's admin is %s %s, want Ada Byron", first, last)
	}
	if d := time.Until(s.Organization.TrialEndsAt) - 14*24*time.Hour; d.Abs() > time.Minute {
		t.Errorf("the trial is off by %s, want 14 days", d)
	}
	id := h.identity(t, s)
	if id.Tenant != string(s.Tenant.ID) || id.Subject != s.Profile.ID || id.Role != accounts.RolePrimary {
		t.Errorf("the access token speaks for %+v", id)
	}
}

func TestSignUpNamesEveryFieldThatIsWrong(t *testing.T) {
	h := newHouse(t)
	_, err := h.SignUp(t.Context(), accounts.SignUp{
		Email: "no address", Password: "short", FirstName: "\x00", IdempotencyKey: strings.Repeat("k", 256),
	})
	var input *accounts.InputError
	if !errors.As(err, &input) {
		t.Fatalf("got %v, want *InputError", err)
	}
	want := map[string]string{
		"email":        "must be an e-mail address",
		"password":     "must have at least 8 characters",
		"firstName":    "must not have control characters",
		"lastName":     "is required",
		"organization": "is required",

		"idempotencyKey": "must be text of at most 255 bytes",
	}
	if diff := cmp.Diff(want, input.Fields); diff != "" {
		t.Error(diff)
	}
	if tenants := must(h.Registry.Tenants(t.Context(), "", 1))(t); len(tenants) != 0 {
		t.Error("a refused sign-up left a tenant")
	}
}

func TestCommonPasswordIsAnErrorOfItsField(t *testing.T) {
	h := newHouse(t)
	f := form("ada@example.org")
	f.Password = "password1"
	_, err := h.SignUp(t.Context(), f)
	var input *accounts.InputError
	if !errors.As(err, &input) || input.Fields["password"] != "is too common" {
		t.Errorf("got %v, want the field that is wrong", err)
	}
}

func TestAttackerFindsNoPasswordMadeOfWhatTheFormSays(t *testing.T) {
	h := newHouse(t)
	refused := func(err error) bool {
		var input *accounts.InputError
		return errors.As(err, &input) && strings.Contains(input.Fields["password"], "besides")
	}
	f := form("ada.lovelace@example.org")
	f.Organization = "Saint Cuthbert's"
	for _, password := range []string{"cuthbert-1", "SaintCuthberts", "lovelace-1815"} {
		f.Password = password
		if _, err := h.SignUp(t.Context(), f); !refused(err) {
			t.Errorf("sign-up with %q: %v", password, err)
		}
	}
	f.Password = form("").Password
	s := must(h.SignUp(t.Context(), f))(t)
	for _, password := range []string{"cuthbert-1", "lovelace-1815"} {
		if err := h.ChangePassword(t.Context(), h.identity(t, s), f.Password, password); !refused(err) {
			t.Errorf("change to %q: %v", password, err)
		}
	}
	must(h.SignIn(t.Context(), accounts.SignIn{Email: f.Email, Password: f.Password}))(t)
}

func TestTakenEmailStopsASignUpBeforeAnythingIsMade(t *testing.T) {
	h := newHouse(t)
	h.signUp(t, "ada@example.org")
	_, err := h.SignUp(t.Context(), form("ADA@Example.ORG"))
	if !errors.Is(err, registry.ErrEmailTaken) {
		t.Fatalf("got %v, want ErrEmailTaken", err)
	}
	if tenants := must(h.Registry.Tenants(t.Context(), "", 10))(t); len(tenants) != 1 {
		t.Errorf("%d tenants, want 1", len(tenants))
	}
}

func TestRepeatedSignUpGivesTheSameTenantToWhoKnowsThePassword(t *testing.T) {
	h := newHouse(t)
	f := form("ada@example.org")
	f.IdempotencyKey = "key-1"
	first := must(h.SignUp(t.Context(), f))(t)
	again := must(h.SignUp(t.Context(), f))(t)
	if again.Tenant.ID != first.Tenant.ID || again.Profile.ID != first.Profile.ID {
		t.Error("the repetition made another tenant")
	}

	stranger := f
	stranger.Password = "not the password of Ada"
	if _, err := h.SignUp(t.Context(), stranger); !errors.Is(err, registry.ErrKeyReused) {
		t.Errorf("a stranger with the key got %v, want ErrKeyReused", err)
	}
	other := f
	other.Organization = "St Paul"
	if _, err := h.SignUp(t.Context(), other); !errors.Is(err, registry.ErrKeyReused) {
		t.Errorf("another body under the key got %v, want ErrKeyReused", err)
	}
}

func TestSecretsStayOutOfTheLog(t *testing.T) {
	h := newHouse(t)
	s := h.signUp(t, "ada@example.org")
	_, _ = h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: "wrong password"})
	_ = must(h.SignIn(t.Context(), accounts.SignIn{Email: "ada@example.org", Password: password}))(t)
	log := h.Log.String()
	if !strings.Contains(log, string(s.Tenant.ID)) {
		t.Error("the log does not name the tenant")
	}
	for _, secret := range []string{
		"ada@example.org", password, "wrong password", "Byron", s.AccessToken.Reveal(), s.RefreshToken.Reveal(),
	} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{
			*s, s, s.Profile, &s.Profile, form("ada@example.org"), accounts.SignIn{Email: "ada@example.org", Password: password},
		} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, "ada@") || strings.Contains(text, password) ||
				strings.Contains(text, s.AccessToken.Reveal()) {
				t.Errorf("%s of %T prints a secret", verb, v)
			}
		}
	}
}
