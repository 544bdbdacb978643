package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"

	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
)

// process is what the program has of the world around it.
type process struct {
	env            func(string) string
	stdout, stderr io.Writer
	hooks          hooks
}

// hooks let tests fail a sign-up where they choose, and know every route.
type hooks struct {
	progress func(r *http.Request, step string)
	steps    []provision.SideEffect
	mounted  func(pattern string) // told of each route; may be nil
}

// options is what the command line and the environment say.
type options struct {
	addr        string
	registry    string // database of the registry
	prefix      string // of tenants' databases
	clientAddr  func(*http.Request) netip.Addr
	identify    middleware.Identifier // by the church's host; nil: the token alone says which church
	data        string
	maxPools    int
	maxConns    int // to the server, of all processes together
	warm        int // databases kept ready for sign-ups, with a connection to each
	signUps     int // of all clients together, before they are slowed down; and of one address
	signUpsFrom int
	databaseURL string
	keysFile    string
	stripeKey   string
	stripeBase  string
}

func parseOptions(args []string, p process) (options, error) {
	var o options
	f := flag.NewFlagSet("server", flag.ContinueOnError)
	f.SetOutput(p.stderr)
	f.StringVar(&o.addr, "addr", "localhost:8080", "address to listen on")
	f.StringVar(&o.registry, "registry", "pgtenancy_registry", "name of the registry's database")
	f.StringVar(&o.prefix, "prefix", "tenant_", "beginning of the names of churches' databases")
	domain := f.String("domain", "", "domain under which each church has a host, ID.domain (default: churches have none)")
	proxies := f.String("trusted-proxies", "",
		"addresses or networks of the proxies in front, with commas between, which add to X-Forwarded-For (default: none)")
	f.StringVar(&o.data, "data", "", "directory that keeps the data of a server started here (default: none is kept)")
	f.IntVar(&o.maxPools, "max-pools", 256, "pools open at once")
	f.IntVar(&o.maxConns, "max-conns", 60, "connections to churches' databases, of all processes together")
	f.IntVar(&o.warm, "warm", 2,
		"databases kept ready for sign-ups, the same for all processes, and connections held to them")
	f.IntVar(&o.signUps, "sign-ups", 100, "sign-ups at once before all are slowed down to one in 10 s (negative: never)")
	f.IntVar(&o.signUpsFrom, "sign-ups-from", 20,
		"sign-ups at once from one address before it is slowed down to one an hour")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	var err error
	if o.clientAddr, err = clientAddr(*proxies); err != nil {
		return o, fmt.Errorf("-trusted-proxies: %w", err)
	}
	if *domain != "" {
		if o.identify, err = middleware.FromSubdomain(*domain); err != nil {
			return o, fmt.Errorf("-domain: %w", err)
		}
	}
	o.databaseURL = p.env("DATABASE_URL")
	o.keysFile = p.env("PGTENANCY_KEYS_FILE")
	if o.keysFile == "" {
		o.keysFile = "pgtenancy-keys.json"
	}
	o.stripeKey, o.stripeBase = p.env("STRIPE_API_KEY"), p.env("STRIPE_API_BASE")
	if o.stripeBase != "" && o.stripeKey == "" {
		return o, errors.New("STRIPE_API_BASE is set, STRIPE_API_KEY is not")
	}
	return o, nil
}
