package authn_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log"

	"github.com/pgtenancy/pgtenancy/authn"
)

// A stored hash is replaced when the parameters have been raised since, or when it is bcrypt.
func ExampleHasher() {
	ctx := context.Background()
	hasher, err := authn.NewHasher(authn.HasherConfig{})
	if err != nil {
		log.Fatal(err)
	}
	const stored = "$2b$04$.V7wHXW12EBCqnwMtHQGOeGatnsE3Dzs.yzXSQS9u4mWSnxtHJrb." // bcrypt, from an older system
	match, err := hasher.Verify(ctx, "correct horse", stored)
	fmt.Println(match.OK, match.Rehash, err)

	encoded, err := hasher.Hash(ctx, "correct horse")
	fmt.Println(encoded[:31], err)
	match, err = hasher.Verify(ctx, "correct horse", encoded)
	fmt.Println(match.OK, match.Rehash, err)

	_, err = hasher.Hash(ctx, "Password1")
	fmt.Println(errors.Is(err, authn.ErrPasswordCommon))
	// Output:
	// true true <nil>
	// $argon2id$v=19$m=19456,t=2,p=1$ <nil>
	// true false <nil>
	// true
}

func ExampleVerifier() {
	ctx := context.Background()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	signing, err := authn.NewEd25519Key("2026-11", private)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := authn.NewIssuer(authn.IssuerConfig{Key: signing, Issuer: "https://auth.example.com", Audience: "api"})
	if err != nil {
		log.Fatal(err)
	}
	token, _, err := issuer.Issue(authn.Identity{Subject: "admin1", Tenant: "acme", Session: "s1", Role: "PRIMARY"})
	if err != nil {
		log.Fatal(err)
	}

	verifying, err := authn.NewEd25519PublicKey("2026-11", public)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := authn.NewVerifier(authn.VerifierConfig{
		Keys: []authn.Key{verifying}, Issuer: "https://auth.example.com", Audience: "api",
	})
	if err != nil {
		log.Fatal(err)
	}
	id, err := verifier.Verify(ctx, token)
	fmt.Println(id.Subject, id.Tenant, id.Role, err)
	_, err = verifier.Verify(ctx, token+"x")
	fmt.Println(err)
	fmt.Println(signing)
	// Output:
	// admin1 acme PRIMARY <nil>
	// authn: token invalid
	// authn.Key(2026-11 EdDSA)
}
