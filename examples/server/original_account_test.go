package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// place is the answer of GET /api/tenant.
type place struct {
	ID              string `json:"id"`
	Database        string `json:"database"`
	CurrentDatabase string `json:"currentDatabase"`
	SchemaHash      string `json:"schemaHash"`
}

func (r *running) where(t *testing.T, s session) place {
	t.Helper()
	return do[place](t, r.as(s.AccessToken), "GET", "/api/tenant", nil, http.StatusOK)
}

func (o *original) tokensAreIssued(t *testing.T) {
	header, claims := token(t, o.a.AccessToken)
	if header["alg"] != "EdDSA" || claims["tid"] != o.a.Church.ID || claims["sub"] != o.a.Admin.ID ||
		claims["role"] != "PRIMARY" {
		t.Errorf("header %v, claims %v", header, claims)
	}
	if o.a.ExpiresIn < 890 || o.a.ExpiresIn > 900 {
		t.Errorf("expires in %d s", o.a.ExpiresIn)
	}
	renewed := do[session](t, o.as(""), "POST", "/api/auth/refresh", map[string]string{"refreshToken": o.a.RefreshToken},
		200)
	if renewed.AccessToken == o.a.AccessToken || renewed.RefreshToken == o.a.RefreshToken || renewed.Admin != o.a.Admin {
		t.Error("the tokens were not renewed")
	}
	me := do[session](t, o.as(renewed.AccessToken), "GET", "/api/me", nil, http.StatusOK)
	if me.Admin != o.a.Admin || me.Church != o.a.Church {
		t.Errorf("me: %+v", me)
	}
	do[none](t, o.as(renewed.AccessToken), "POST", "/api/auth/logout", nil, http.StatusNoContent)
	do[problem](t, o.as(""), "POST", "/api/auth/refresh", map[string]string{"refreshToken": renewed.RefreshToken}, 401)
	do[problem](t, o.as(""), "GET", "/api/me", nil, http.StatusUnauthorized)
	o.a = do[session](t, o.as(""), "POST", "/api/auth/login", map[string]string{
		"email": o.a.Admin.Email, "password": password,
	}, http.StatusOK) // the session of the rows that follow
}

// token returns the header and the claims of a token, unverified.
func token(t *testing.T, raw string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", raw)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		part, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(part, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// failedSignUpIsRolledBack fails sign-ups at each step. emailIsChecked has the e-mail check.
func (o *original) failedSignUpIsRolledBack(t *testing.T) {
	databases, roles := o.tenants(t)
	customers := o.stripe.left()
	in := newSignUp("Clara")
	for _, step := range []string{"database", "access", "seed", "step:billing", "activate"} {
		status, _ := o.tryRegister(t.Context(), in, http.Header{"X-Fail-At": {step}})
		if status != http.StatusInternalServerError {
			t.Errorf("failed at %s: status %d", step, status)
		}
		o.settled(t) // so that the e-mail is free for the next
		databasesNow, rolesNow := o.tenants(t)
		if diff := cmp.Diff(databases, databasesNow); diff != "" {
			t.Errorf("failed at %s: databases: %s", step, diff)
		}
		if diff := cmp.Diff(roles, rolesNow); diff != "" {
			t.Errorf("failed at %s: roles: %s", step, diff)
		}
		for _, table := range []string{"tenants", "organizations", "admins", "admin_email_index"} {
			if n := one[int](t, o.registry, "SELECT count(*) FROM pgtenancy."+table); n != 2 {
				t.Errorf("failed at %s: %d rows in %s", step, n, table)
			}
		}
		if left := o.stripe.left(); !slices.Equal(left, customers) {
			t.Errorf("failed at %s: customers %q", step, left)
		}
	}
	do[problem](t, o.as(""), "POST", "/api/auth/login", map[string]string{"email": in.Email, "password": in.Password}, 401)
}

func (o *original) databaseIsDeleted(t *testing.T) {
	s := o.register(t, "Dora")
	as := o.as(s.AccessToken)
	wrong := do[problem](t, as, "DELETE", "/api/church", map[string]string{"password": "guessed it"}, 422)
	if wrong.Fields["password"] == "" {
		t.Errorf("fields %v", wrong.Fields)
	}
	do[none](t, as, "DELETE", "/api/church", map[string]string{"password": password}, http.StatusNoContent)
	databases, roles := o.tenants(t)
	if name := "tenant_" + s.Church.ID; slices.Contains(databases, name) || slices.Contains(roles, name) {
		t.Errorf("databases %q, roles %q", databases, roles)
	}
	for _, table := range []string{"tenants", "organizations"} {
		if n := one[int](t, o.registry, "SELECT count(*) FROM pgtenancy."+table+" WHERE id = $1", s.Church.ID); n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	for _, table := range []string{"admins", "admin_email_index", "sessions"} {
		if n := one[int](t, o.registry, "SELECT count(*) FROM pgtenancy."+table+" WHERE tenant_id = $1",
			s.Church.ID); n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	if left := o.stripe.left(); len(left) != 2 {
		t.Errorf("customers %q", left)
	}
	eventually(t, "the token opens nothing", func() bool {
		status, _, err := as.send(t.Context(), "GET", "/api/tenant", nil)
		return err == nil && status == http.StatusNotFound
	})
	again := o.register(t, "Dora")
	do[none](t, o.as(again.AccessToken), "DELETE", "/api/church", map[string]string{"password": password},
		http.StatusNoContent)
}

func (o *original) adminSignsIn(t *testing.T) {
	type credentials struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	right := credentials{"anna@EXAMPLE.org", password}
	s := do[session](t, o.as(""), "POST", "/api/auth/login", right, http.StatusOK)
	if s.Church != o.a.Church || s.Admin != o.a.Admin {
		t.Errorf("signed in to %+v as %+v", s.Church, s.Admin)
	}
	wrong := do[problem](t, o.as(""), "POST", "/api/auth/login", credentials{right.Email, "wrong password"}, 401)
	unknown := do[problem](t, o.as(""), "POST", "/api/auth/login", credentials{"nobody@example.org", password}, 401)
	if !cmp.Equal(wrong, unknown) {
		t.Errorf("told apart: %+v, %+v", wrong, unknown)
	}

	// The index decides which church, and that church's own row decides the password.
	o.exec(t, "UPDATE pgtenancy.admins SET password_hash = 'x' WHERE id = $1", o.a.Admin.ID)
	do[session](t, o.as(""), "POST", "/api/auth/login", right, http.StatusOK)
	row := one[[]byte](t, o.registry, "DELETE FROM pgtenancy.admin_email_index WHERE admin_id = $1 RETURNING bidx",
		o.a.Admin.ID)
	do[problem](t, o.as(""), "POST", "/api/auth/login", right, http.StatusUnauthorized)
	o.exec(t, `INSERT INTO pgtenancy.admin_email_index (admin_id, kid, bidx, tenant_id) VALUES ($1, 1, $2, $3)`,
		o.a.Admin.ID, row, o.a.Church.ID)
	do[session](t, o.as(""), "POST", "/api/auth/login", right, http.StatusOK)
}

func (o *original) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := o.registry.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
