package accounts_test

import (
	"context"
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
