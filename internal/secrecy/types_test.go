package secrecy_test

import (
	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
	"github.com/pgtenancy/pgtenancy/fleet"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/provision/atlas"
	"github.com/pgtenancy/pgtenancy/provision/fingerprint"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// types has a value of every exported struct.
func types() map[string]any {
	return map[string]any{
		"tenancy.Config": tenancy.Config{}, "tenancy.Endpoint": tenancy.Endpoint{},
		"tenancy.Lease": tenancy.Lease{}, "tenancy.OwnerTag": tenancy.OwnerTag{}, "tenancy.Observer": tenancy.Observer{},
		"tenancy.Outcome": tenancy.Outcome{}, "tenancy.PanicError": tenancy.PanicError{},
		"tenancy.Resolver": opaque{"tenancy.Resolver"},
		"tenancy.Secret":   tenancy.Secret{}, "tenancy.ServerStat": tenancy.ServerStat{}, "tenancy.Stat": tenancy.Stat{},
		"tenancy.Figure": tenancy.Figure{}, "tenancy.Waits": tenancy.Waits{}, "tenancy.Histogram": tenancy.Histogram{},
		"tenancy.StateError": tenancy.StateError{}, "tenancy.Tenant": tenancy.Tenant{},

		"registry.Admin": registry.Admin{}, "internal/catalog.Claim": catalog.Claim{}, "registry.Config": registry.Config{},
		"registry.FollowStat": registry.FollowStat{},
		"registry.Email":      registry.Email{}, "registry/keyring.Key": keyring.Key{},
		"registry/keyring.Keyring": opaque{"registry/keyring.Keyring"},
		"registry/keyring.Config":  keyring.Config{}, "registry.Membership": registry.Membership{},
		"registry.Organization": registry.Organization{}, "registry.Registry": opaque{"registry.Registry"},
		"registry.RekeyConfig": registry.RekeyConfig{}, "registry.RekeyProgress": registry.RekeyProgress{},
		"registry.RekeyResult": registry.RekeyResult{}, "internal/catalog.ReplayError": catalog.ReplayError{},
		"registry.UnsignedServerError": registry.UnsignedServerError{},
		"internal/catalog.Reservation": catalog.Reservation{}, "registry.Server": registry.Server{},
		"internal/catalog.Session": catalog.Session{},
		"internal/catalog.Client":  catalog.Client{}, "internal/catalog.SessionRequest": catalog.SessionRequest{},
		"registry.Share": registry.Share{}, "internal/catalog.Step": catalog.Step{}, "registry.Tenant": registry.Tenant{},
		"internal/catalog.Admission": catalog.Admission{}, "internal/catalog.Attempt": catalog.Attempt{},
		"internal/catalog.Count": catalog.Count{},
		"internal/catalog.Pace":  catalog.Pace{}, "authn/accounts.Pace": accounts.Pace{},
		"internal/catalog.Subject": catalog.Subject{},
		"internal/catalog.Warm":    catalog.Warm{}, "internal/catalog.WarmChoice": catalog.WarmChoice{},
		"internal/catalog.WarmWork": catalog.WarmWork{},

		"registry.Actor": registry.Actor{}, "registry.Event": registry.Event{},
		"registry.EventFilter":         registry.EventFilter{},
		"internal/catalog.AdminChange": catalog.AdminChange{}, "internal/catalog.ChangeClaim": catalog.ChangeClaim{},
		"internal/catalog.Factor": catalog.Factor{}, "internal/catalog.Mail": catalog.Mail{},
		"internal/catalog.Member": catalog.Member{}, "internal/catalog.Ticket": catalog.Ticket{},
		"internal/catalog.Token": catalog.Token{}, "internal/regdb.Actor": regdb.Actor{},
		"internal/regdb.Client": regdb.Client{}, "internal/regdb.Event": regdb.Event{}, "internal/regdb.Note": regdb.Note{},

		"registry/keyring.MAC":     keyring.MAC{},
		"internal/catalog.Catalog": opaque{"internal/catalog.Catalog"}, "internal/regdb.DB": opaque{"internal/regdb.DB"},
		"internal/regdb.Address": regdb.Address{}, "internal/regdb.Error": opaque{"internal/regdb.Error"},
		"internal/regdb.Route": regdb.Route{},

		"provision.Change": provision.Change{}, "provision.Config": provision.Config{},
		"provision.DestructiveError": provision.DestructiveError{}, "provision/fingerprint.Fingerprint": fingerprint.Fingerprint{},
		"provision.InUseError": provision.InUseError{}, "provision.RoleSetting": provision.RoleSetting{},
		"provision.TerminatedSession": provision.TerminatedSession{},
		"provision.Observer":          provision.Observer{}, "provision.PanicError": provision.PanicError{},
		"provision.ReconcileReport": provision.ReconcileReport{}, "provision.Policy": provision.Policy{},
		"provision.Provisioner": opaque{"provision.Provisioner"}, "provision.Report": provision.Report{},
		"provision.Request": provision.Request{}, "provision.Result": provision.Result{},
		"provision.AdoptRequest": provision.AdoptRequest{}, "provision.AdoptResult": provision.AdoptResult{},
		"provision.AdoptError": provision.AdoptError{}, "internal/catalog.Adopted": catalog.Adopted{},
		"provision.RotateAllConfig":     provision.RotateAllConfig{},
		"provision.RotateAllProgress":   provision.RotateAllProgress{},
		"provision.RotateAllResult":     provision.RotateAllResult{},
		"provision.SchemaMismatchError": provision.SchemaMismatchError{}, "provision.Seed": provision.Seed{},
		"provision.Stat": provision.Stat{}, "provision.SideEffect": provision.SideEffect{},
		"provision.SideEffectInput": provision.SideEffectInput{}, "provision.StepStat": provision.StepStat{},
		"provision.UpgradeInput": provision.UpgradeInput{},

		"provision/atlas.CLIConfig": atlas.CLIConfig{}, "provision/atlas.CommandError": atlas.CommandError{},
		"provision/atlas.Config": atlas.Config{}, "provision/atlas.HistoryError": atlas.HistoryError{},
		"provision/atlas.MigrationsConfig": atlas.MigrationsConfig{},
		"provision/atlas.UnsupportedError": atlas.UnsupportedError{},

		"authn.Cache": opaque{"authn.Cache"}, "authn.CacheConfig": authn.CacheConfig{},
		"authn.Hasher":       opaque{"authn.Hasher"},
		"authn.HasherConfig": authn.HasherConfig{}, "authn.Identity": authn.Identity{},
		"authn.Issuer":       opaque{"authn.Issuer"},
		"authn.IssuerConfig": authn.IssuerConfig{}, "authn.Key": authn.Key{}, "authn.Match": authn.Match{},
		"authn.Verifier": opaque{"authn.Verifier"}, "authn.VerifierConfig": authn.VerifierConfig{},

		"authn/accounts.ActiveSession": accounts.ActiveSession{},
		"authn/accounts.Accounts":      opaque{"authn/accounts.Accounts"}, "authn/accounts.Config": accounts.Config{},
		"authn/accounts.Acceptance": accounts.Acceptance{}, "authn/accounts.ChoiceError": accounts.ChoiceError{},
		"authn/accounts.Client": accounts.Client{}, "authn/accounts.Completion": accounts.Completion{},
		"authn/accounts.Invitation": accounts.Invitation{}, "authn/accounts.Invite": accounts.Invite{},
		"authn/accounts.Manager": accounts.Manager{}, "authn/accounts.Message": accounts.Message{},
		"authn/accounts.SecondFactorError": accounts.SecondFactorError{},
		"authn/accounts.TenantChoice":      accounts.TenantChoice{},
		"authn/accounts.InputError":        accounts.InputError{}, "authn/accounts.Profile": accounts.Profile{},
		"authn/accounts.Session": accounts.Session{}, "authn/accounts.SignIn": accounts.SignIn{},
		"authn/accounts.SignUp": accounts.SignUp{}, "authn/accounts.Table": accounts.Table{},
		"authn/accounts.Throttle": accounts.Throttle{}, "authn/accounts.ThrottledError": accounts.ThrottledError{},

		"authn/jwks.Handler": opaque{"authn/jwks.Handler"}, "authn/jwks.HandlerConfig": jwks.HandlerConfig{},
		"authn/jwks.Remote": jwks.Remote{}, "authn/jwks.RemoteConfig": jwks.RemoteConfig{},

		"fleet.Config": fleet.Config{}, "fleet.Server": fleet.Server{}, "fleet.Fleet": fleet.Fleet{},

		"middleware.Config": middleware.Config{}, "middleware.Middleware": opaque{"middleware.Middleware"},
		"middleware.Problem": middleware.Problem{},
	}
}
