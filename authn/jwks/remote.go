package jwks

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
)

// RemoteConfig configures a [Remote]. URL, Issuer and Audience are required; any other field left zero has the default
// that its comment names.
type RemoteConfig struct {
	// URL is where the JWK set is. It must begin with https, or with http if its host is this machine or PlainHTTP is set:
	// anyone who can change the answer can sign tokens.
	URL string

	// PlainHTTP allows http to other machines, where the network encrypts.
	PlainHTTP bool

	// Issuer is the "iss" that a token must have.
	Issuer string

	// Audience is the "aud" that a token must have.
	Audience string

	// Leeway is how far the issuer's clock may be off, either way. Default: 30 s. Negative: not at all.
	Leeway time.Duration

	// Interval is how often the set is fetched, or up to a tenth sooner. Default: 5 min.
	Interval time.Duration

	// Cooldown is the least time between a fetch and the next for a token with an unknown key, 10 s or more. Forged tokens
	// cause no more than one fetch in that time. Default: 30 s.
	Cooldown time.Duration

	// MaxStale is how long the last set is used while no other can be fetched. Then nothing is accepted any more: keys
	// that were taken back in the meantime would be, too. Default: 24 h.
	MaxStale time.Duration

	// Client fetches the set. Its redirects are not followed unless it has a CheckRedirect. Default: a client that takes
	// its proxy from the environment. A fetch takes 10 s and 64 KiB at most, with any client.
	Client *http.Client

	// Logger receives the first in a row of failed fetches, at level Warn, and the end of the row. Default: none.
	Logger *slog.Logger
}

// Remote verifies access tokens with keys that another service publishes. It is a middleware.Verifier, and what an
// [authn.Cache] asks. It is safe for concurrent use.
type Remote struct {
	verifier *authn.Verifier
	set      *set
	cancel   context.CancelFunc
}

// NewRemote returns a verifier, or every violation of cfg at once. It does not wait for the first set: a service whose
// issuer is down comes up nevertheless, refuses tokens as not verifiable for now, and accepts them as soon as the
// issuer is back. Call Ready to fail at the start instead. The caller must call Close.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := newSet(cfg)
	verifier, err := authn.NewVerifier(authn.VerifierConfig{
		Source: s, Issuer: cfg.Issuer, Audience: cfg.Audience, Leeway: cfg.Leeway,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go s.run(ctx)
	return &Remote{verifier: verifier, set: s, cancel: cancel}, nil
}

// check fills in the defaults, and returns every violation.
func (cfg *RemoteConfig) check() error {
	var errs []error
	refuse := func(s string) { errs = append(errs, errors.New("jwks: RemoteConfig."+s)) }
	switch u, err := url.Parse(cfg.URL); {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		refuse("URL: must be an https URL without a user")
	case u.Scheme == "http" && !cfg.PlainHTTP && !loopback(u.Hostname()):
		refuse("URL: http is for this machine, or needs PlainHTTP")
	}
	if cfg.Issuer == "" {
		refuse("Issuer: required")
	}
	if cfg.Audience == "" {
		refuse("Audience: required")
	}
	cfg.Interval = cmp.Or(cfg.Interval, 5*time.Minute)
	cfg.Cooldown = cmp.Or(cfg.Cooldown, 30*time.Second)
	cfg.MaxStale = cmp.Or(cfg.MaxStale, 24*time.Hour)
	if cfg.Cooldown < 10*time.Second {
		refuse("Cooldown: must be at least 10 s")
	}
	if cfg.Interval < cfg.Cooldown {
		refuse("Interval: must be at least Cooldown")
	}
	if cfg.MaxStale < 2*cfg.Interval {
		refuse("MaxStale: must be at least twice Interval")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Verify returns the identity that raw speaks for. It accepts and refuses what an [authn.Verifier] with the keys of the
// set does, and with the same errors. If the key of raw is unknown and the set is about to be fetched, it waits for
// that, 10 s at most and until ctx ends. Any other error means that the set could not be fetched, and raw may be good.
func (r *Remote) Verify(ctx context.Context, raw string) (*authn.Identity, error) {
	return r.verifier.Verify(ctx, raw)
}

// HasKey reports whether the key with this id is in the set that was fetched last. It does not block.
func (r *Remote) HasKey(id string) bool { return r.set.HasKey(id) }

// Ready waits for the first set. When ctx ends before, it returns an error that says so, and why the last fetch failed.
func (r *Remote) Ready(ctx context.Context) error { return r.set.ready(ctx) }

// Close ends the fetching and waits for it. The set that was fetched last is used on, for MaxStale.
func (r *Remote) Close() {
	r.cancel()
	<-r.set.done
}
