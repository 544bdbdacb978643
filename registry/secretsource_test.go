package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestPasswordsCanBeKeptElsewhere(t *testing.T) {
	t.Setenv("PGTENANCY_TEST_ACME", "from the environment")
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "acme"), []byte("from a file\n"), 0o600))
	f := newFixture(t)
	id := f.active(t, "acme")
	asked := ""
	r := newRegistry(t, registry.Config{Pool: f.pool, Keyring: newKeyring(t, 1), Secrets: map[string]registry.SecretSource{
		"env":  registry.EnvSecrets("PGTENANCY_TEST_"),
		"file": registry.FileSecrets(dir),
		"vault": func(_ context.Context, name string) (tenancy.Secret, error) {
			asked = name
			return tenancy.NewSecret("from the vault"), nil
		},
	}})
	before := f.lookup(t, id)
	for ref, want := range map[string]string{
		"env:PGTENANCY_TEST_ACME": "from the environment", "file:acme": "from a file", "vault:tenants/acme": "from the vault",
	} {
		must(t, r.SetPasswordRef(t.Context(), id, ref))
		got, err := r.Lookup(t.Context(), id)
		if err != nil || got.Endpoint.Password.Reveal() != want {
			t.Errorf("%s: another password, %v", ref, err)
		}
		if got.Epoch <= before.Epoch {
			t.Errorf("%s: routers are not told", ref)
		}
		before = got
		if _, err := r.Tenant(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if asked != "tenants/acme" {
		t.Errorf("the vault was asked for %q", asked)
	}
	if dump := string(f.dump(t)); strings.Contains(dump, "PGTENANCY_TEST") || strings.Contains(dump, "tenants/acme") {
		t.Error("the dump shows where secrets are kept")
	}
	if _, err := f.Lookup(t.Context(), id); !errors.Is(err, registry.ErrSecretRef) {
		t.Errorf("without sources: %v", err)
	}
	must(t, catalog.Of(r).SetPassword(t.Context(), id, tenancy.NewSecret("sealed again")))
	if got := f.lookup(t, id).Endpoint.Password.Reveal(); got != "sealed again" {
		t.Error("SetPassword does not replace a reference")
	}
}

func TestReferencesReachNothingElse(t *testing.T) {
	t.Setenv("PGTENANCY_TEST_ACME", "planted")
	t.Setenv("PGTENANCY_TEST_EMPTY", "")
	t.Setenv("OTHER", "planted")
	outside := t.TempDir()
	dir := filepath.Join(outside, "secrets")
	must(t, os.Mkdir(dir, 0o700))
	for name, text := range map[string]string{
		"../key": "planted", "empty": "", "newline": "\n", "long": strings.Repeat("x", 4097), "nul": "a\x00b",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	must(t, os.Symlink("../key", filepath.Join(dir, "link")))
	must(t, os.Mkdir(filepath.Join(dir, "directory"), 0o700))
	f := newFixture(t)
	id := f.active(t, "acme")
	r := newRegistry(t, registry.Config{Pool: f.pool, Keyring: newKeyring(t, 1), Secrets: map[string]registry.SecretSource{
		"env": registry.EnvSecrets("PGTENANCY_TEST_"), "all": registry.EnvSecrets(""), "file": registry.FileSecrets(dir),
	}})
	for _, ref := range []string{
		"", "env", "env:", ":", "ENV:PGTENANCY_TEST_ACME", "http://x", "env:OTHER", "env:PGTENANCY_TEST_", "all:OTHER",
		"env:PGTENANCY_TEST_EMPTY", "env:PGTENANCY_TEST_ACME\x00", "file:../key", "file:" + filepath.Join(outside, "key"),
		"file:link", "file:directory", "file:missing", "file:", "file:empty", "file:newline", "file:long", "file:nul",
		"file:./../key", "file:directory/../../key",
	} {
		err := r.SetPasswordRef(t.Context(), id, ref)
		if !errors.Is(err, registry.ErrSecretRef) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%q: %v", ref, err)
		}
	}
	if err := catalog.Of(r).SetPassword(t.Context(), id, tenancy.NewSecret("\x00env:PGTENANCY_TEST_ACME")); err == nil {
		t.Error("a password became a reference")
	}
	if err := r.SetPasswordRef(t.Context(), "nobody", "env:PGTENANCY_TEST_ACME"); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("no such tenant: %v", err)
	}
}
