package accounts_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// schema is the smallest provision.Schema: one script.
type schema string

func (s schema) Hash() string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

func (s schema) Build(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, string(s)).ReadAll()
	return err
}

func (schema) Upgrade(context.Context, provision.UpgradeInput) (*provision.Report, error) {
	return nil, errors.New("this schema never changes")
}

// house is everything that accounts stand on, on a real server.
type house struct {
	*accounts.Accounts
	Registry *registry.Registry
	Resolver *tenancy.Resolver
	Hasher   *authn.Hasher
	Verifier *authn.Verifier
	Catalog  *pgxpool.Pool
	Log      *safeBuffer
	cfg      accounts.Config
}

func newHouse(t *testing.T, configure ...func(*accounts.Config)) *house {
	t.Helper()
	h := openHouse(t, pgtest.Migrated(t, registry.Migrate), pgtest.Admin(t), configure...)
	t.Cleanup(func() { dropAll(t, h.Registry, h.cfg.Provisioner) })
	return h
}

// openHouse is newHouse on a registry that is there, as another process would open it.
func openHouse(t *testing.T, cfg *pgxpool.Config, admin *pgx.ConnConfig, configure ...func(*accounts.Config)) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{Log: &safeBuffer{}}
	logger := slog.New(slog.NewJSONHandler(h.Log, nil))
	h.Catalog = must(pgxpool.NewWithConfig(context.WithoutCancel(ctx), cfg))(t)
	t.Cleanup(h.Catalog.Close)
	h.Registry = must(registry.New(registry.Config{Pool: h.Catalog, Keyring: newKeyring(t)}))(t)
	err := h.Registry.PutServer(ctx, registry.Server{
		Name: "main", Host: admin.Host, Port: admin.Port, State: registry.ServerOpen,
	})
	if err != nil {
		t.Fatal(err)
	}

	provisioner := must(provision.New(provision.Config{
		Registry: h.Registry,
		Admin:    admin,
		Schema:   schema(accounts.Table{}.SQL()),
		Prefix:   "acct" + cfg.ConnConfig.Database[len(cfg.ConnConfig.Database)-6:] + "_",
		Seed:     accounts.Seed(accounts.Table{}),
		Logger:   logger,
	}))(t)
	base := must(pgxpool.ParseConfig("host=localhost sslmode=disable"))(t)
	h.Resolver = must(tenancy.New(tenancy.Config{Directory: h.Registry, Base: base}))(t)
	t.Cleanup(func() { _ = h.Resolver.Close(context.Background()) })

	h.Hasher = must(authn.NewHasher(authn.HasherConfig{MemoryKiB: 64, Time: 1}))(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sign := must(authn.NewEd25519Key("k1", private))(t)
	check := must(authn.NewEd25519PublicKey("k1", public))(t)
	issuer := must(authn.NewIssuer(authn.IssuerConfig{Key: sign, Issuer: "test", Audience: "test"}))(t)
	h.Verifier = must(authn.NewVerifier(authn.VerifierConfig{
		Keys: []authn.Key{check}, Issuer: "test", Audience: "test",
	}))(t)
	h.cfg = accounts.Config{
		Registry: h.Registry, Provisioner: provisioner, Resolver: h.Resolver,
		Hasher: h.Hasher, Issuer: issuer, Logger: logger,
	}
	h.configure(t, configure...)
	return h
}

// configure makes the Accounts anew, as another process would.
func (h *house) configure(t *testing.T, configure ...func(*accounts.Config)) {
	t.Helper()
	for _, f := range configure {
		f(&h.cfg)
	}
	h.Accounts, h.Hasher = must(accounts.New(h.cfg))(t), h.cfg.Hasher
}

func dropAll(t *testing.T, r *registry.Registry, p *provision.Provisioner) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tenants, err := r.Tenants(ctx, "", 1000)
	if err != nil {
		t.Error(err)
	}
	for _, tenant := range tenants {
		if tenant.State == tenancy.Suspended || tenant.State == tenancy.Active {
			if err := p.Drop(ctx, tenant.ID); err != nil {
				t.Error(err)
			}
		}
	}
}

// identity verifies the session's access token, as a middleware would.
func (h *house) identity(t *testing.T, s *accounts.Session) *authn.Identity {
	t.Helper()
	return must(h.Verifier.Verify(t.Context(), s.AccessToken.Reveal()))(t)
}

func (h *house) signUp(t *testing.T, email string) *accounts.Session {
	t.Helper()
	return must(h.SignUp(t.Context(), form(email)))(t)
}

// tenantHash reads the password hash in the tenant's own database.
func (h *house) tenantHash(t *testing.T, s *accounts.Session) (hash string) {
	t.Helper()
	h.inTenant(t, s, func(ctx context.Context, db *pgxpool.Pool) error {
		return db.QueryRow(ctx, `SELECT password_hash FROM admins WHERE id = $1`, s.Profile.ID).Scan(&hash)
	})
	return hash
}

func (h *house) inTenant(t *testing.T, s *accounts.Session, f func(context.Context, *pgxpool.Pool) error) {
	t.Helper()
	if err := h.Resolver.AcquireFunc(t.Context(), s.Tenant.ID, f); err != nil {
		t.Fatal(err)
	}
}

const password = "correct horse battery staple"

func form(email string) accounts.SignUp {
	return accounts.SignUp{
		Email: email, Password: password,
		FirstName: "Ada", LastName: "Byron", Organization: "St Mary",
	}
}

func newKeyring(t *testing.T) *keyring.Keyring {
	return must(keyring.New(keyring.Config{
		Index: []keyring.Key{{ID: 1, Secret: bytes.Repeat([]byte{1, 2}, 16)}},
		Seal:  []keyring.Key{{ID: 1, Secret: bytes.Repeat([]byte{3, 4}, 16)}},
	}))(t)
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// safeBuffer is a log that may be written and read at once.
type safeBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// asOwner connects to the tenant's database as the servers' administrator.
func (h *house) asOwner(t *testing.T, s *accounts.Session) *pgx.Conn {
	t.Helper()
	cfg := pgtest.Admin(t)
	cfg.Database = s.Tenant.Endpoint.Database
	conn := must(pgx.ConnectConfig(t.Context(), cfg))(t)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
