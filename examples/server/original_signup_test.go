package main

import (
	"crypto/sha256"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tables of a church's database: 24 and admins.
var tables = []string{
	"admins", "attendances", "audit_entries", "branches", "conversation_messages", "conversations", "delivery_events",
	"donations", "events", "families", "funds", "group_members", "groups", "import_jobs", "member_tags", "members",
	"message_recipients", "message_templates", "messages", "notes", "pledges", "recurring_messages", "settings",
	"subscriptions", "tags",
}

func (o *original) tenantIDIsRandom(t *testing.T) {
	if cuid2 := regexp.MustCompile(`^[a-z][a-z0-9]{23}$`); !cuid2.MatchString(o.a.Church.ID) {
		t.Errorf("id %q is no CUID2", o.a.Church.ID)
	}
	if o.a.Church.ID == o.b.Church.ID {
		t.Error("two churches have one id")
	}
}

func (o *original) emailIsChecked(t *testing.T) {
	databases, roles := o.tenants(t)
	logged := o.logs.String()
	again := newSignUp("Other")
	again.Email = " ANNA@example.ORG "
	want := problem{Title: "E-mail taken", Status: 409, Detail: "This e-mail address has an account already."}
	if got := do[problem](t, o.as(""), "POST", "/api/auth/register", again, http.StatusConflict); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	databasesNow, rolesNow := o.tenants(t)
	if !slices.Equal(databases, databasesNow) || !slices.Equal(roles, rolesNow) {
		t.Errorf("a database or a role was made: %q, %q", databasesNow, rolesNow)
	}
	if n := one[int](t, o.registry, "SELECT count(*) FROM pgtenancy.tenants"); n != 2 {
		t.Errorf("%d tenants in the registry", n)
	}
	if lines := strings.TrimPrefix(o.logs.String(), logged); strings.Contains(lines, "step") {
		t.Errorf("a step was begun: %s", lines)
	}
}

func (o *original) databaseIsCreated(t *testing.T) {
	databases, _ := o.tenants(t)
	for _, s := range []session{o.a, o.b} {
		if !slices.Contains(databases, "tenant_"+s.Church.ID) {
			t.Errorf("no database tenant_%s in %q", s.Church.ID, databases)
		}
	}
	owner := one[string](t, o.registry, `SELECT rolname::text FROM pg_database d JOIN pg_roles r ON r.oid = datdba
		WHERE datname = $1 AND NOT rolcanlogin`, "tenant_"+o.a.Church.ID)
	if owner == "tenant_"+o.a.Church.ID {
		t.Error("the church's role owns its database, and so could drop it")
	}
}

func (o *original) schemaIsApplied(t *testing.T) {
	db := pool(t, o.admin, "tenant_"+o.a.Church.ID)
	got := column(t, db, `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'`)
	slices.Sort(got)
	if diff := cmp.Diff(tables, got); diff != "" || len(got) != 25 {
		t.Errorf("%d tables: %s", len(got), diff)
	}
	for what, sql := range map[string]string{
		"foreign keys": `SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace`,
		"checks":       `SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace`,
		"enums":        `SELECT count(*) FROM pg_type WHERE typtype = 'e' AND typnamespace = 'public'::regnamespace`,
		"indexes":      `SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'`,
	} {
		if n := one[int](t, db, sql); n < 10 {
			t.Errorf("only %d %s", n, what)
		}
	}
	stamped := one[string](t, o.registry, "SELECT schema_hash FROM pgtenancy.tenants WHERE id = $1", o.a.Church.ID)
	if where := o.where(t, o.a); where.SchemaHash == "" || where.SchemaHash != stamped {
		t.Errorf("schema hash %q, stamped %q", where.SchemaHash, stamped)
	}
	if !slices.ContainsFunc(strings.Split(o.logs.String(), "\n"), func(line string) bool {
		return strings.Contains(line, `"tenant":"`+o.a.Church.ID+`"`) && strings.Contains(line, `"step":"seed"`)
	}) {
		t.Error("the seed, which needs the connection and the schema, is not in the log")
	}
}

func (o *original) connectionDetailsAreKept(t *testing.T) {
	row := one[map[string]any](t, o.registry, `SELECT jsonb_build_object('host', s.host, 'port', s.port,
		'database', t.database) FROM pgtenancy.tenants t JOIN pgtenancy.servers s ON s.name = t.server WHERE id = $1`,
		o.a.Church.ID)
	want := map[string]any{
		"host": o.admin.Host, "port": float64(o.admin.Port), "database": "tenant_" + o.a.Church.ID,
	}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Error(diff)
	}
	text := one[string](t, o.registry, "SELECT t::text FROM pgtenancy.tenants t WHERE id = $1", o.a.Church.ID)
	if strings.Contains(text, "postgres://") || strings.Contains(text, "postgresql://") {
		t.Errorf("the registry holds a URL: %s", text)
	}
}

func (o *original) billingCustomerIsMade(t *testing.T) {
	id := one[string](t, o.registry, "SELECT billing_customer FROM pgtenancy.organizations WHERE id = $1", o.a.Church.ID)
	if tenant, name := o.stripe.of(id); tenant != o.a.Church.ID || name != o.a.Church.Name {
		t.Errorf("customer %q is of tenant %q, named %q", id, tenant, name)
	}
	if left := o.stripe.left(); len(left) != 2 {
		t.Errorf("customers %q", left)
	}
}

func (o *original) trialBegins(t *testing.T) {
	const day = 24 * time.Hour
	left := time.Until(o.a.Church.TrialEndsAt)
	if left < 14*day-time.Hour || left > 14*day {
		t.Errorf("the trial ends in %v", left)
	}
	stored := one[time.Time](t, o.registry, "SELECT trial_ends_at FROM pgtenancy.organizations WHERE id = $1",
		o.a.Church.ID)
	if !stored.Equal(o.a.Church.TrialEndsAt) {
		t.Errorf("stored %v, told %v", stored, o.a.Church.TrialEndsAt)
	}
}

func (o *original) churchIsRecorded(t *testing.T) {
	name := one[string](t, o.registry, "SELECT name FROM pgtenancy.organizations WHERE id = $1", o.a.Church.ID)
	if name != "St Anna" || o.a.Church.Status != "active" {
		t.Errorf("church %q is %q", name, o.a.Church.Status)
	}
	email := one[[]byte](t, o.registry, "SELECT email FROM pgtenancy.organizations WHERE id = $1", o.a.Church.ID)
	if len(email) < 28 || strings.Contains(strings.ToLower(string(email)), "anna") {
		t.Errorf("the e-mail is not sealed: %q", email)
	}
}

func (o *original) tenantIsRecorded(t *testing.T) {
	row := one[string](t, o.registry, `SELECT concat_ws(' ', state, server, database, claim_owner = '', data IS NULL)
		FROM pgtenancy.tenants WHERE id = $1`, o.a.Church.ID)
	if want := "active main tenant_" + o.a.Church.ID + " t t"; row != want {
		t.Errorf("row %q, want %q", row, want)
	}
}

func (o *original) passwordAndEmailAreHashed(t *testing.T) {
	hash := one[string](t, o.registry, "SELECT password_hash FROM pgtenancy.admins WHERE id = $1", o.a.Admin.ID)
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("password hash %q", hash)
	}
	plain := sha256.Sum256([]byte("anna@example.org"))
	index := one[[]byte](t, o.registry, "SELECT bidx FROM pgtenancy.admin_email_index WHERE admin_id = $1", o.a.Admin.ID)
	if len(index) != 32 || string(index) == string(plain[:]) {
		t.Errorf("the e-mail's index %x is no keyed hash", index)
	}
}

func (o *original) adminIsInTheRegistry(t *testing.T) {
	row := one[string](t, o.registry, "SELECT concat_ws(' ', tenant_id, role) FROM pgtenancy.admins WHERE id = $1",
		o.a.Admin.ID)
	if want := o.a.Church.ID + " PRIMARY"; row != want {
		t.Errorf("row %q, want %q", row, want)
	}
	email := one[[]byte](t, o.registry, "SELECT email FROM pgtenancy.admins WHERE id = $1", o.a.Admin.ID)
	if strings.Contains(strings.ToLower(string(email)), "anna") {
		t.Error("the e-mail is not sealed")
	}
}

func (o *original) emailIsIndexed(t *testing.T) {
	row := one[string](t, o.registry, `SELECT concat_ws(' ', tenant_id, kid) FROM pgtenancy.admin_email_index
		WHERE admin_id = $1`, o.a.Admin.ID)
	if want := o.a.Church.ID + " 1"; row != want {
		t.Errorf("row %q, want %q", row, want)
	}
}

func (o *original) adminIsInTheTenantsDatabase(t *testing.T) {
	db := pool(t, o.admin, "tenant_"+o.a.Church.ID)
	row := one[string](t, db, "SELECT concat_ws(' ', id, email, first_name, last_name, role) FROM admins")
	if want := o.a.Admin.ID + " Anna@example.org Ann Lee PRIMARY"; row != want {
		t.Errorf("row %q, want %q", row, want)
	}
	if hash := one[string](t, db, "SELECT password_hash FROM admins"); !strings.HasPrefix(hash, "$argon2id$") {
		t.Errorf("password hash %q", hash)
	}
}
