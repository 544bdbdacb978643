package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestBadRequestsAreProblems sends what clients get wrong.
func TestBadRequestsAreProblems(t *testing.T) {
	r := start(t, setup{prefix: "face_"})
	s := r.register(t, "Face")
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		field                    string
	}{
		{"no JSON", "POST", "/api/members", `{`, 400, ""},
		{"two objects", "POST", "/api/members", `{} {}`, 400, ""},
		{"no body", "POST", "/api/members", ``, 400, ""},
		{"an array", "POST", "/api/members", `[]`, 400, ""},
		{"wrong type", "POST", "/api/members", `{"firstName":1}`, 422, "firstName"},
		{"unknown field", "POST", "/api/members", `{"firstNme":"A"}`, 422, "firstNme"},
		{"a megabyte", "POST", "/api/members", `{"firstName":"` + strings.Repeat("a", 1<<20) + `"}`, 413, ""},
		{"no such record", "GET", "/api/members/none", ``, 404, ""},
		{"no such route", "GET", "/api/saints", ``, 404, ""},
		{"no such method", "PATCH", "/api/members", `{}`, 405, ""},
		{"made-up cursor", "GET", "/api/members?cursor=abc", ``, 422, "cursor"},
		{"endless page", "GET", "/api/members?limit=1000000", ``, 422, "limit"},
		{"NUL in an id", "GET", "/api/members/%00", ``, 404, ""},
		{"NUL in a field", "POST", "/api/branches", `{"name":"\u0000"}`, 422, "name"},
		{"unknown branch", "POST", "/api/members", `{"firstName":"A","lastName":"B","branchId":"x"}`, 422, "branchId"},
		{
			"wrong password", "POST", "/api/me/password", `{"currentPassword":"guess it","newPassword":"a long enough one"}`,
			422, "currentPassword",
		},
		{
			"short password", "POST", "/api/me/password", `{"currentPassword":"` + password + `","newPassword":"short"}`, 422,
			"newPassword",
		},
	} {
		status, contentType, got := r.raw(t, test.method, test.path, test.body, s.AccessToken)
		if status != test.status || got.Status != test.status || got.Title == "" ||
			contentType != "application/problem+json" {
			t.Errorf("%s: status %d, %s, %+v", test.name, status, contentType, got)
		}
		if test.field != "" && got.Fields[test.field] == "" {
			t.Errorf("%s: field %s is not named: %v", test.name, test.field, got.Fields)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, _, _ := r.raw(t, "GET", path, "", ""); status != http.StatusOK {
			t.Errorf("%s: status %d", path, status)
		}
	}
}

// raw sends a body as it is, and reads a problem.
func (r *running) raw(t *testing.T, method, path, body, token string) (status int, contentType string, p problem) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(answer, &p) // an answer that is no problem leaves it empty
	return res.StatusCode, res.Header.Get("Content-Type"), p
}

func TestRegistrationRepeatedUnderItsKeyMakesOneChurch(t *testing.T) {
	r := start(t, setup{prefix: "idem_"})
	key := http.Header{"Idempotency-Key": {"try-1"}}
	status, first := r.tryRegister(t.Context(), newSignUp("Idem"), key)
	again, second := r.tryRegister(t.Context(), newSignUp("Idem"), key)
	if status != 201 || again != 201 || first.Church != second.Church || first.Admin != second.Admin {
		t.Errorf("first %d %+v, then %d %+v", status, first.Church, again, second.Church)
	}
	if databases, _ := r.tenants(t); len(databases) != 1 {
		t.Errorf("databases %q", databases)
	}
	r.where(t, second)
	other := newSignUp("Idem")
	other.ChurchName = "Another"
	if status, _ := r.tryRegister(t.Context(), other, key); status < 400 || status >= 500 {
		t.Errorf("the key with another body: status %d", status)
	}
}

func TestChangedPasswordIsTheOnlyOne(t *testing.T) {
	r := start(t, setup{prefix: "pass_"})
	s := r.register(t, "Pass")
	login := func(pass string, want int) session {
		t.Helper()
		return do[session](t, r.as(""), "POST", "/api/auth/login",
			map[string]string{"email": "pass@example.org", "password": pass}, want)
	}
	other := login(password, 200)
	const changed = "another battery staple"
	do[none](t, r.as(s.AccessToken), "POST", "/api/me/password",
		map[string]string{"currentPassword": password, "newPassword": changed}, http.StatusNoContent)
	login(password, http.StatusUnauthorized)
	login(changed, http.StatusOK)
	refresh := func(s session, want int) {
		t.Helper()
		do[session](t, r.as(""), "POST", "/api/auth/refresh", map[string]string{"refreshToken": s.RefreshToken}, want)
	}
	refresh(other, http.StatusUnauthorized)
	refresh(s, http.StatusOK)
	inTenant := one[string](t, pool(t, r.admin, "pass_"+s.Church.ID), "SELECT password_hash FROM admins")
	inRegistry := one[string](t, r.registry, "SELECT password_hash FROM pgtenancy.admins")
	if inTenant != inRegistry {
		t.Error("the two rows have different hashes")
	}
}

// TestSignOutEndsTheAccessTokenToo: it was verified and remembered a moment before, and the registry's feed tells of
// the closed session.
func TestSignOutEndsTheAccessTokenToo(t *testing.T) {
	r := start(t, setup{prefix: "out_"})
	c := r.as(r.register(t, "Out").AccessToken)
	do[none](t, c, "GET", "/api/me", nil, http.StatusOK)
	do[none](t, c, "POST", "/api/auth/logout", nil, http.StatusNoContent)
	deadline := time.After(10 * time.Second) // twice the poll that stands behind the notification
	for {
		status, _, err := c.send(t.Context(), "GET", "/api/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusUnauthorized {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("status %d long after the sign-out", status)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
