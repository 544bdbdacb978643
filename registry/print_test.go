package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// planted are values of all exported struct types whose secrets all hold the word "planted", or are bytes of it.
func planted(t *testing.T) map[string]any {
	t.Helper()
	const secret = "planted-planted-planted-planted!"
	person := email(t, "planted@planted.example")
	k := keyring.Key{ID: 1, Secret: []byte(secret)}
	rings := keyring.Config{
		Index: []keyring.Key{k}, Seal: []keyring.Key{{ID: 2, Secret: []byte("another " + secret[8:])}},
	}
	ring, err := keyring.New(rings)
	must(t, err)
	poolCfg, err := pgxpool.ParseConfig("host=127.0.0.1 port=1 password=planted")
	must(t, err)
	cfg := registry.Config{Pool: newPool(t, poolCfg), Keyring: ring}
	org := registry.Organization{Name: "Acme", Email: person}
	admin := registry.Admin{ID: "a1", Email: person, PasswordHash: secret, Role: "PRIMARY"}
	tenant := registry.Tenant{Organization: org}
	tenant.ID, tenant.Endpoint.Password = "acme", tenancy.NewSecret(secret)
	return map[string]any{
		"Admin": admin, "Organization": org, "Tenant": tenant, "keyring.Key": k,
		"keyring.Config": rings, "keyring.Keyring": ring, "keyring.MAC": keyring.MAC{},
		"Config": cfg, "Registry": newRegistry(t, cfg), "Email": person, "Share": registry.ShareOf(newRegistry(t, cfg), nil),
		"catalog.Catalog": catalog.Of(newRegistry(t, cfg)),
		"catalog.Claim":   catalog.Claim{Tenant: tenant, Admin: admin, Data: []byte(secret), Attempt: 3},
		"catalog.Reservation": catalog.Reservation{
			ID: "acme", Password: tenancy.NewSecret(secret), Organization: org, Admin: admin, Data: []byte(secret),
			RequestHash: []byte(secret), TTL: time.Minute,
		},
		"catalog.Step": catalog.Step{Name: "billing", State: catalog.StepDone, Result: secret},
		"Membership":   registry.Membership{}, "catalog.ReplayError": &catalog.ReplayError{}, "Server": registry.Server{},
		"catalog.Session":        catalog.Session{Client: catalog.Client{UserAgent: secret}},
		"catalog.Client":         catalog.Client{UserAgent: secret},
		"catalog.SessionRequest": catalog.SessionRequest{PasswordHash: secret, Client: catalog.Client{UserAgent: secret}},
		"catalog.Warm":           catalog.Warm{ID: "acme", Password: tenancy.NewSecret(secret)},
		"catalog.WarmChoice":     catalog.WarmChoice{}, "catalog.WarmWork": catalog.WarmWork{},
		"UnsignedServerError": &registry.UnsignedServerError{},
		"FollowStat":          registry.FollowStat{},
		"catalog.Pace":        catalog.Pace{}, "catalog.Subject": catalog.Subject{Email: person},
		"catalog.Count":     catalog.Count{Subject: catalog.Subject{Email: person}},
		"catalog.Attempt":   catalog.Attempt{Home: catalog.Count{Subject: catalog.Subject{Email: person}}},
		"catalog.Admission": catalog.Admission{},
		"RekeyConfig":       registry.RekeyConfig{}, "RekeyProgress": registry.RekeyProgress{},
		"RekeyResult": registry.RekeyResult{},
		"Actor":       registry.Actor{UserAgent: secret}, "EventFilter": registry.EventFilter{},
		"Event":               registry.Event{UserAgent: secret},
		"catalog.AdminChange": catalog.AdminChange{Data: []byte(secret)}, "catalog.ChangeClaim": catalog.ChangeClaim{},
		"catalog.Factor": catalog.Factor{Secret: []byte(secret)}, "catalog.Mail": catalog.Mail{Data: []byte(secret)},
		"catalog.Member": catalog.Member{PasswordHash: secret}, "catalog.Token": catalog.Token{Data: []byte(secret)},
		"catalog.Adopted": catalog.Adopted{Database: "d", Role: "r"},
		"catalog.Ticket":  catalog.NewTicket(catalog.TicketChoice, registry.Membership{}, secret, time.Time{}),
	}
}

func TestNothingThatIsPrintedHoldsASecret(t *testing.T) {
	t.Parallel()
	values := planted(t)
	for _, name := range exportedStructs(t) {
		v, ok := values[name]
		if !ok {
			t.Errorf("%s is not looked at", name)
			continue
		}
		for form, s := range prints(v) {
			for _, secret := range []string{
				"planted", "112 108 97 110 116", "0x70, 0x6c, 0x61", "706c616e", "cGxhbnRlZ", "another",
			} {
				if strings.Contains(s, secret) {
					t.Errorf("%s, %s: %q is in %s", name, form, secret, s)
				}
			}
		}
	}
}

// prints returns what v looks like, on its own, behind a pointer and in another value, under every verb and in a log.
func prints(v any) map[string]string {
	forms := map[string]string{}
	pointer := reflect.New(reflect.TypeOf(v))
	pointer.Elem().Set(reflect.ValueOf(v))
	for how, v := range map[string]any{"": v, "*": pointer.Interface(), "in a struct ": struct{ V any }{v}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			forms[how+verb] = fmt.Sprintf(verb, v)
		}
		text, err := json.Marshal(v)
		forms[how+"JSON"] = fmt.Sprint(string(text), err)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("", "v", v)
		forms[how+"slog"] = log.String()
	}
	return forms
}

// exportedStructs are those of this package and of the two that share its rows and keys, which are named by their
// package.
func exportedStructs(t *testing.T) (names []string) {
	t.Helper()
	for pattern, prefix := range map[string]string{
		"*.go": "", "keyring/*.go": "keyring.", "../internal/catalog/*.go": "catalog.",
	} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			must(t, err)
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if s, ok := n.(*ast.TypeSpec); ok && s.Name.IsExported() {
					if _, ok := s.Type.(*ast.StructType); ok {
						names = append(names, prefix+s.Name.Name)
					}
				}
				return true
			})
		}
	}
	return names
}
