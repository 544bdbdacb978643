package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// The schema of tenant databases needs a table for the admins.
func ExampleTable_SQL() {
	fmt.Print(accounts.Table{Name: "users"}.SQL())
	// Output:
	// CREATE TABLE "users" (
	//     id            text PRIMARY KEY,
	//     email         text NOT NULL UNIQUE,
	//     first_name    text NOT NULL,
	//     last_name     text NOT NULL,
	//     role          text NOT NULL,
	//     password_hash text NOT NULL,
	//     created_at    timestamptz NOT NULL DEFAULT now(),
	//     updated_at    timestamptz NOT NULL DEFAULT now()
	// );
}

// A form shows each error beside its field.
func ExampleInputError() {
	err := error(&accounts.InputError{Fields: map[string]string{"password": "must have at least 8 characters"}})
	fmt.Println(err)
	// Output: accounts: invalid password
}

// A sign-in may end in a choice of tenants, or in the question for a code; each has a ticket for the next request.
func ExampleAccounts_SignIn() {
	var a *accounts.Accounts
	next := func(ctx context.Context, in accounts.SignIn) (page, ticket string, err error) {
		_, err = a.SignIn(ctx, in)
		var choice *accounts.ChoiceError
		var factor *accounts.SecondFactorError
		switch {
		case errors.As(err, &choice): // choice.Tenants are what to choose from, with Choose
			return "choose", choice.Ticket.Reveal(), nil
		case errors.As(err, &factor): // the code goes to ProveFactor
			return "code", factor.Ticket.Reveal(), nil
		}
		return "home", "", err
	}
	_ = next
}

// The first admin of a tenant that has none is invited by an operator.
func ExampleAccounts_Invite() {
	var a *accounts.Accounts
	invite := func(ctx context.Context, tenant tenancy.ID, address string) (link string, err error) {
		i, err := a.Invite(ctx, accounts.ByOperator(tenant, "support"), accounts.Invite{
			Email: address, Role: accounts.RolePrimary,
		})
		if err != nil {
			return "", err
		}
		return "https://example.org/invitation#token=" + i.Token.Reveal(), nil // to be sent to that address
	}
	_ = invite
}

// What accounts stand on, in the order in which a program makes it.
func ExampleNew() {
	var (
		reg         *registry.Registry
		provisioner *provision.Provisioner // its Config.Seed is accounts.Seed(accounts.Table{})
		resolver    *tenancy.Resolver
		hasher      *authn.Hasher
		issuer      *authn.Issuer
	)
	a, err := accounts.New(accounts.Config{
		Registry: reg, Provisioner: provisioner, Resolver: resolver, Hasher: hasher, Issuer: issuer,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := a.SignUp(context.Background(), accounts.SignUp{
		Email: "ada@example.org", Password: "correct horse battery staple",
		FirstName: "Ada", LastName: "Byron", Organization: "St Mary",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Tenant.ID)
	// Output:
	// accounts: Config.Registry: required
	// accounts: Config.Provisioner: required
	// accounts: Config.Resolver: required
	// accounts: Config.Hasher: required
	// accounts: Config.Issuer: required
}
