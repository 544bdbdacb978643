package accounts

import (
	"cmp"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Config configures [Accounts]. Registry, Provisioner, Resolver, Hasher and Issuer are required; any other field left
// zero has the default that its comment names.
type Config struct {
	Registry    *registry.Registry
	Provisioner *provision.Provisioner
	Resolver    *tenancy.Resolver
	Hasher      *authn.Hasher
	Issuer      *authn.Issuer

	// Profiles reads and writes admins in a tenant's database. Give [Seed] the same one. Default: Table{}.
	Profiles Profiles

	// MayManage reports whether an admin with the role actor may invite and remove admins with the other role, and give
	// and take it; the empty role asks whether the actor may see the admins and invitations, and revoke the latter.
	// Default: RolePrimary may, and no other role.
	MayManage func(actor, role string) bool

	// Trial is how long after its sign-up an organization's trial ends. Default: 14 days. Negative: no trial.
	Trial time.Duration

	// SessionTTL is how long a session lives, however often it is refreshed. Default: 30 days.
	SessionTTL time.Duration

	// SessionIdle is how long a session lives without a refresh, within SessionTTL. OWASP ASVS 5.0 (7.3.1) wants such a
	// time-out; NIST SP 800-63B (4.1.3) asks for none at AAL1, which a password alone is. The default keeps those signed
	// in who come once a week. It must be longer than an access token lives. Default: 14 days.
	SessionIdle time.Duration

	// Grace is how long after its exchange a refresh token still gives the same successor, for a client whose answer
	// was lost. A later use revokes the session. Default: 20 s. Negative: none.
	Grace time.Duration

	// MinRefusal is how long a refused sign-in takes at least. A known e-mail costs a query in the tenant's database,
	// which may have to be connected to first; without the floor, the time would tell which e-mails have an account. The
	// query has half of it; a database that takes longer delays only callers with the right password. Make it longer
	// than a hash that is stored takes to verify: bcrypt of cost 12 takes 250 ms. Default: 150 ms. Negative: none, and no
	// bound of the query.
	MinRefusal time.Duration

	// Mailer sends the mails that people ask for; Run calls it. Default: none, and the requests return an error.
	Mailer Mailer

	// VerifyEmail has people show that they own their e-mail before a database is made: SignUp returns ErrUnverified, and
	// RequestSignUp and CompleteSignUp take its place. It needs a Mailer. Default: a sign-up needs no verified e-mail.
	VerifyEmail bool

	// SecondFactor is asked after a password that was right, also after SignUp with a known IdempotencyKey. Default: none.
	SecondFactor SecondFactor

	// Throttle is how fast passwords may be tried and accounts be made.
	Throttle Throttle

	// Logger receives sign-ups, sign-ins and refusals by tenant and admin id, and by the client's network where no admin
	// was let in; never by e-mail. Default: discards.
	Logger *slog.Logger

	failpoints *failpoint.Set // for tests only
}

// Accounts signs people up and in. It is safe for concurrent use and owns none of what its Config names.
type Accounts struct {
	cfg                         Config
	catalog                     *catalog.Catalog
	signIns, signUps, refreshes entrance
	mails                       entrance
	flights                     flights
	owner                       string        // of this process's claims on changes
	wake                        chan struct{} // see wakeUp
}

// New returns Accounts for cfg, or an error that names every field that is missing.
func New(cfg Config) (*Accounts, error) {
	var errs []error
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"Registry", cfg.Registry == nil},
		{"Provisioner", cfg.Provisioner == nil},
		{"Resolver", cfg.Resolver == nil},
		{"Hasher", cfg.Hasher == nil},
		{"Issuer", cfg.Issuer == nil},
	} {
		if f.missing {
			errs = append(errs, errors.New("accounts: Config."+f.name+": required"))
		}
	}
	if cfg.SessionTTL < 0 {
		errs = append(errs, errors.New("accounts: Config.SessionTTL: must not be negative"))
	}
	if cfg.VerifyEmail && cfg.Mailer == nil {
		errs = append(errs, errors.New("accounts: Config.VerifyEmail: needs a Mailer"))
	}
	if cfg.SessionIdle < 0 {
		errs = append(errs, errors.New("accounts: Config.SessionIdle: must not be negative"))
	}
	if err := errors.Join(append(errs, cfg.Throttle.check())...); err != nil {
		return nil, err
	}
	cfg.Trial = cmp.Or(cfg.Trial, 14*24*time.Hour)
	cfg.SessionTTL = cmp.Or(cfg.SessionTTL, 30*24*time.Hour)
	cfg.SessionIdle = cmp.Or(cfg.SessionIdle, 14*24*time.Hour)
	cfg.MinRefusal = cmp.Or(cfg.MinRefusal, 150*time.Millisecond)
	cfg.Grace = max(cmp.Or(cfg.Grace, 20*time.Second), 0)
	if cfg.Profiles == nil {
		cfg.Profiles = Table{}
	}
	if cfg.MayManage == nil {
		cfg.MayManage = func(actor, _ string) bool { return actor == RolePrimary }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Accounts{
		cfg:       cfg,
		catalog:   catalog.Of(cfg.Registry),
		signIns:   make(entrance, entranceSize),
		signUps:   make(entrance, entranceSize),
		refreshes: make(entrance, entranceSize),
		mails:     make(entrance, entranceSize),
		flights:   flights{underWay: map[flightKey]*flight{}},
		owner:     strings.ToLower(rand.Text()),
		wake:      make(chan struct{}, 1),
	}, nil
}
