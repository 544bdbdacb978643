package secrecy_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// secret is long enough to be a key.
const secret = "planted-planted-planted-planted!"

// opaque names a type that only its constructor can put a secret into.
type opaque struct{ name string }

// secretName is how fields are called that hold one as text.
var secretName = regexp.MustCompile(`(?i)password|secret|token$|requesthash|^data$|^value$|^result$|email|^env$`)

// planter puts the secret wherever it can be: into every field of a type made for secrets, and into those whose name
// says so.
type planter struct {
	made     map[string]any       // by name
	specials map[reflect.Type]any // made for secrets, or full of them
}

func newPlanter(t *testing.T) *planter {
	t.Helper()
	email, err := registry.ParseEmail("planted@planted.example")
	must(t, err)
	key, err := authn.NewHMACKey("k", []byte(secret))
	must(t, err)
	p := &planter{made: made(t), specials: make(map[reflect.Type]any)}
	values := []any{
		tenancy.NewSecret(secret), email, key, keyring.Key{ID: 1, Secret: []byte(secret)}, base(t), base(t).ConnConfig,
	}
	for _, v := range slices.AppendSeq(values, maps.Values(p.made)) {
		p.specials[reflect.TypeOf(v)] = v
	}
	return p
}

// in returns v with the secret in it.
func (p *planter) in(v any) any {
	if o, ok := v.(opaque); ok {
		return p.made[o.name]
	}
	value := reflect.New(reflect.TypeOf(v)).Elem()
	p.plant(value, "")
	return value.Interface()
}

func (p *planter) plant(v reflect.Value, field string) {
	if special, ok := p.specials[v.Type()]; ok {
		v.Set(reflect.ValueOf(special))
		return
	}
	switch v.Kind() {
	case reflect.String:
		if secretName.MatchString(field) {
			v.SetString(secret)
		}
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(secret))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(secret))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		p.plant(v.Index(0), field)
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		p.plant(element, field)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.Zero(v.Type().Key()), element)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				p.plant(v.Field(i), f.Name)
			}
		}
	}
}

func base(t *testing.T) *pgxpool.Config {
	t.Helper()
	cfg, err := pgxpool.ParseConfig("host=127.0.0.1 port=1 user=u password=" + secret + " dbname=d")
	must(t, err)
	return cfg
}

// made are what constructors return. It is used by its pointer, and looked at so.
func made(t *testing.T) map[string]any {
	t.Helper()
	ring, err := keyring.New(keyring.Config{
		Index: []keyring.Key{{ID: 1, Secret: []byte(secret)}}, Seal: []keyring.Key{{ID: 2, Secret: []byte("!" + secret[1:])}},
	})
	must(t, err)
	db, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), base(t))
	must(t, err)
	t.Cleanup(db.Close)
	reg, err := registry.New(registry.Config{Pool: db, Keyring: ring})
	must(t, err)
	r, err := tenancy.New(tenancy.Config{Directory: reg, Base: base(t)})
	must(t, err)
	must(t, r.Close(t.Context())) // or it would go on working while it is printed
	p, err := provision.New(provision.Config{Registry: reg, Admin: base(t).ConnConfig, Schema: schema{}})
	must(t, err)
	key, err := authn.NewHMACKey("k", []byte(secret))
	must(t, err)
	issuer, err := authn.NewIssuer(authn.IssuerConfig{Key: key, Issuer: "i", Audience: "a"})
	must(t, err)
	verifier, err := authn.NewVerifier(authn.VerifierConfig{Keys: []authn.Key{key}, Issuer: "i", Audience: "a"})
	must(t, err)
	cache, err := authn.NewCache(authn.CacheConfig{Verifier: verifier})
	must(t, err)
	hasher, err := authn.NewHasher(authn.HasherConfig{})
	must(t, err)
	acc, err := accounts.New(accounts.Config{Registry: reg, Provisioner: p, Resolver: r, Hasher: hasher, Issuer: issuer})
	must(t, err)
	signer, err := authn.NewEd25519Key("k", ed25519.NewKeyFromSeed([]byte(secret)))
	must(t, err)
	published, err := jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{signer}})
	must(t, err)
	mw, err := middleware.New(middleware.Config{Resolver: r, Verifier: verifier})
	must(t, err)
	return map[string]any{
		"tenancy.Resolver": r, "registry/keyring.Keyring": ring, "registry.Registry": reg, "provision.Provisioner": p,
		"authn.Issuer":   issuer,
		"fleet.Fleet":    new(fleet.Fleet), // Open has a database in it
		"authn.Verifier": verifier, "authn.Cache": cache, "authn.Hasher": hasher, "authn/accounts.Accounts": acc,
		"middleware.Middleware": mw,
		"authn/jwks.Handler":    published, "internal/catalog.Catalog": catalog.Of(reg), "internal/regdb.DB": reg.Internal(),
		"internal/regdb.Error": regdb.Redact("try", errors.New(secret)),
	}
}

// schema is a schema that no test builds.
type schema struct{ provision.Schema }

func (schema) Hash() string { return "0123456789abcdef0123456789abcdef" }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
