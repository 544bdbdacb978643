package main

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/middleware"
)

// token compares the whole middleware, with an EdDSA token in each request, with the oracle, which asks for none.
func token(ctx context.Context, s *suite) error {
	return eachService(ctx, s, func(ctx context.Context, v *service, name string) error {
		k, err := newTokens(v)
		if err != nil {
			return err
		}
		with, err := k.subject(v, "middleware.Handler, authn.Cache", k.cache)
		if err != nil {
			return err
		}
		without, err := k.subject(v, "middleware.Handler, no cache", k.verifier)
		if err != nil {
			return err
		}
		with.goal = atLeast(0.95)
		handlers := []subject{{name: "oracle: a map, no token", rival: true, handler: v.oracle()}, with, without}
		if err := compare(ctx, s, v, name, handlers, overLoopback); err != nil {
			return err
		}
		return compare(ctx, s, v, name+", no network", withoutGoal(handlers), inProcess)
	})
}

// tokens has a token for each tenant, and their verifiers.
type tokens struct {
	raw      []string
	verifier *authn.Verifier
	cache    *authn.Cache
}

func newTokens(v *service) (*tokens, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	key, err := authn.NewEd25519Key("bench", private)
	if err != nil {
		return nil, err
	}
	issuer, err := authn.NewIssuer(authn.IssuerConfig{Key: key, Issuer: "bench", Audience: "bench", TTL: time.Hour})
	if err != nil {
		return nil, err
	}
	k := &tokens{raw: make([]string, v.tenants)}
	for i, id := range v.ids {
		identity := authn.Identity{Subject: "admin", Tenant: string(id), Session: "session-" + string(id)}
		if k.raw[i], _, err = issuer.Issue(identity); err != nil {
			return nil, err
		}
	}
	if k.verifier, err = authn.NewVerifier(authn.VerifierConfig{
		Keys: []authn.Key{key}, Issuer: "bench", Audience: "bench",
	}); err != nil {
		return nil, err
	}
	k.cache, err = authn.NewCache(authn.CacheConfig{Verifier: k.verifier, TokenTTL: 2 * time.Hour})
	return k, err
}

func (k *tokens) subject(v *service, name string, verifier middleware.Verifier) (subject, error) {
	m, err := middleware.New(middleware.Config{
		Resolver: v.resolver, Identify: middleware.FromPathValue("tenant"), Verifier: verifier,
	})
	if err != nil {
		return subject{}, err
	}
	return subject{name: name, handler: m.Handler(leased()), tokens: k.raw}, nil
}
