package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// poolIsReused sees that the connections of a church's pool are made once and used again.
func (o *original) poolIsReused(t *testing.T) {
	backends := func() []string {
		return column(t, o.registry, `SELECT pid || ' ' || backend_start FROM pg_stat_activity
			WHERE datname = $1 AND usename = $1 ORDER BY 1`, "tenant_"+o.a.Church.ID)
	}
	o.where(t, o.a)
	before := backends()
	if len(before) == 0 {
		t.Fatal("no connection is kept")
	}
	for range 50 {
		o.where(t, o.a)
	}
	if after := backends(); !slices.Equal(before, after) {
		t.Errorf("connections %q became %q", before, after)
	}
}

func (o *original) requestIsRouted(t *testing.T) {
	for _, s := range []session{o.a, o.b} {
		name := "tenant_" + s.Church.ID
		if got := o.where(t, s); got.ID != s.Church.ID || got.Database != name || got.CurrentDatabase != name {
			t.Errorf("church %s is at %+v", s.Church.ID, got)
		}
	}
	filters := column(t, pool(t, o.admin, "tenant_"+o.a.Church.ID), `SELECT table_name || '.' || column_name
		FROM information_schema.columns WHERE table_schema = 'public' AND column_name IN ('church_id', 'tenant_id')`)
	if len(filters) > 0 {
		t.Errorf("columns that name a church: %q", filters)
	}
}

func (o *original) tenantsAreIsolated(t *testing.T) {
	a, b := o.as(o.a.AccessToken), o.as(o.b.AccessToken)
	type item struct {
		ID string `json:"id"`
	}
	made := do[item](t, a, "POST", "/api/members", map[string]string{"firstName": "Only", "lastName": "Anna's"}, 201)
	do[item](t, a, "GET", "/api/members/"+made.ID, nil, http.StatusOK)
	for _, method := range []string{"GET", "DELETE"} {
		do[problem](t, b, method, "/api/members/"+made.ID, nil, http.StatusNotFound)
	}
	if list := do[map[string][]item](t, b, "GET", "/api/members", nil, http.StatusOK); len(list["items"]) != 0 {
		t.Errorf("church B has %+v", list)
	}
	if n := one[int](t, pool(t, o.admin, "tenant_"+o.b.Church.ID), "SELECT count(*) FROM members"); n != 0 {
		t.Errorf("%d members in church B's database", n)
	}
	roleA, databaseB := "tenant_"+o.a.Church.ID, "tenant_"+o.b.Church.ID
	if one[bool](t, o.registry, "SELECT has_database_privilege($1, $2, 'CONNECT')", roleA, databaseB) {
		t.Error("church A's role may connect to church B's database")
	}
	cfg := o.admin.Copy()
	cfg.Database, cfg.User, cfg.Password = databaseB, roleA, "guessed"
	if conn, err := pgconn.ConnectConfig(t.Context(), &cfg.Config); err == nil {
		_ = conn.Close(t.Context())
		t.Error("a guessed password opens church B's database")
	}
}

// logHoldsNoSecrets reads everything that was logged meanwhile.
func (o *original) logHoldsNoSecrets(t *testing.T) {
	steps, failed := map[string]int{}, 0
	for line := range strings.Lines(o.logs.String()) {
		var entry struct{ Level, Msg, Tenant, Step, Error string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if entry.Tenant == o.a.Church.ID && entry.Step != "" {
			steps[entry.Step]++
		}
		if entry.Level == "ERROR" && entry.Step != "" && entry.Tenant != "" {
			failed++
		}
	}
	for _, step := range []string{"database", "access", "seed", "step:billing", "activate"} {
		if steps[step] != 1 {
			t.Errorf("%d lines for step %s", steps[step], step)
		}
	}
	if failed != 5 { // row 15's
		t.Errorf("%d lines for failed steps, want 5", failed)
	}
	lower := strings.ToLower(o.logs.String())
	for what, secret := range map[string]string{
		"an e-mail": "@example.org", "a name": "anna", "a password": password, "a hash": "$argon2id$",
		"a token": strings.ToLower(o.a.AccessToken[:30]), "a refresh token": strings.ToLower(o.a.RefreshToken),
		"a DSN": "postgres://", "the administrator's password": strings.ToLower(o.admin.Password), "a Stripe key": "sk_test",
	} {
		if secret != "" && strings.Contains(lower, secret) {
			t.Errorf("the log holds %s", what)
		}
	}
}

func (o *original) httpAnswersAreRight(t *testing.T) {
	var keys map[string]map[string]json.RawMessage
	status, raw, err := o.as("").send(t.Context(), "POST", "/api/auth/login",
		map[string]string{"email": "Boris@example.org", "password": password})
	if err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v", status, err)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		t.Fatal(err)
	}
	keys = map[string]map[string]json.RawMessage{"": top, "admin": nil, "church": nil}
	for _, part := range []string{"admin", "church"} {
		var inner map[string]json.RawMessage
		if err := json.Unmarshal(top[part], &inner); err != nil {
			t.Fatal(err)
		}
		keys[part] = inner
	}
	for part, want := range map[string][]string{
		"":       {"accessToken", "admin", "church", "expiresIn", "refreshToken"},
		"admin":  {"email", "firstName", "id", "lastName", "role"},
		"church": {"id", "name", "status", "trialEndsAt"},
	} {
		var got []string
		for key := range keys[part] {
			got = append(got, key)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q has %q, want %q", part, got, want)
		}
	}
	bad := do[problem](t, o.as(""), "POST", "/api/auth/register", signUp{Email: "no", Password: "short"}, 422)
	for _, field := range []string{"email", "password", "firstName", "lastName", "churchName"} {
		if bad.Fields[field] == "" {
			t.Errorf("%s is not named: %v", field, bad.Fields)
		}
	}
	o.signUpForm(t)
}

// servicesUseTheTenantsDatabase lets every service make, read, list, change and delete a record in church A's database.
func (o *original) servicesUseTheTenantsDatabase(t *testing.T) {
	a, db := o.as(o.a.AccessToken), pool(t, o.admin, "tenant_"+o.a.Church.ID)
	type object = map[string]any
	id := func(v object) string { s, _ := v["id"].(string); return s }
	member := do[object](t, a, "POST", "/api/members", object{"firstName": "M", "lastName": "M", "email": "m@example.net"},
		201)
	template := do[object](t, a, "POST", "/api/templates", object{"name": "Used", "body": "Hello"}, 201)
	for _, noun := range []struct {
		path, table string
		input       object
	}{
		{"members", "members", object{"firstName": "N", "lastName": "N"}},
		{"branches", "branches", object{"name": "North"}},
		{"messages", "messages", object{"subject": "Fair", "body": "On Sunday"}},
		{"conversations", "conversations", object{"memberId": id(member), "subject": "Hi"}},
		{"templates", "message_templates", object{"name": "Welcome", "body": "Hello"}},
		{
			"recurring", "recurring_messages",
			object{"name": "News", "templateId": id(template), "nextRunAt": "2027-01-01T08:00:00Z"},
		},
		{"subscriptions", "subscriptions", object{"plan": "plus", "currentPeriodEnd": "2027-01-01T00:00:00Z"}},
	} {
		path := "/api/" + noun.path
		made := do[object](t, a, "POST", path, noun.input, http.StatusCreated)
		one[string](t, db, "SELECT id FROM "+noun.table+" WHERE id = $1", id(made))
		list := do[struct{ Items []object }](t, a, "GET", path, nil, http.StatusOK)
		if len(list.Items) == 0 || id(list.Items[0]) != id(made) {
			t.Errorf("%s: list %v", path, list)
		}
		do[object](t, a, "PUT", path+"/"+id(made), noun.input, http.StatusOK)
		do[object](t, a, "GET", path+"/"+id(made), nil, http.StatusOK)
		do[problem](t, o.as(o.b.AccessToken), "GET", path+"/"+id(made), nil, http.StatusNotFound)
		do[problem](t, a, "POST", path, object{}, http.StatusUnprocessableEntity)
		do[none](t, a, "DELETE", path+"/"+id(made), nil, http.StatusNoContent)
		do[problem](t, a, "GET", path+"/"+id(made), nil, http.StatusNotFound)
	}
	o.sent(t, a)
}

// sent sends a message, and sees its recipients and the messages of a conversation.
func (o *original) sent(t *testing.T, a caller) {
	type object = map[string]any
	type list struct {
		Items []object
		Next  string
	}
	message := do[object](t, a, "POST", "/api/messages", object{"subject": "Fair", "body": "On Sunday", "send": true}, 201)
	path := "/api/messages/" + message["id"].(string)
	if to := do[list](t, a, "GET", path+"/recipients", nil,
		200); len(to.Items) != 1 || to.Items[0]["address"] != "m@example.net" {
		t.Errorf("recipients %v", to)
	}
	do[problem](t, a, "PUT", path, object{"subject": "Other", "body": "Text"}, http.StatusConflict)

	page := do[list](t, a, "GET", "/api/members?limit=1", nil, 200)
	if page.Next == "" || len(page.Items) != 1 {
		t.Fatalf("first page %v", page)
	}
	next := do[list](t, a, "GET", "/api/members?limit=1&cursor="+page.Next, nil, 200)
	if len(next.Items) != 1 || next.Items[0]["id"] == page.Items[0]["id"] {
		t.Errorf("second page %v", next)
	}
	talk := do[object](t, a, "POST", "/api/conversations", object{"memberId": page.Items[0]["id"], "subject": "Hi"}, 201)
	path = "/api/conversations/" + talk["id"].(string) + "/messages"
	said := do[object](t, a, "POST", path, object{"body": "Hello"}, 201)
	if said["authorId"] != o.a.Admin.ID {
		t.Errorf("author %v", said["authorId"])
	}
	if all := do[list](t, a, "GET", path, nil, 200); len(all.Items) != 1 {
		t.Errorf("messages %v", all)
	}
}
