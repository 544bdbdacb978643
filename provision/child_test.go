package provision_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// child is the configuration of a process that is to die, passed through its environment.
type child struct {
	Host     string
	Port     uint16
	User     string
	Password string
	Registry string // database
	Prefix   string

	ID     string
	Point  string         // where it gets Signal
	Signal syscall.Signal // default: SIGKILL
	TTL    time.Duration  // of its claims; default: crashTTL
	Fails  bool           // its seed does
	Drops  bool           // what it made
	Change string         // what it does with a tenant that is there: "suspend", "rotate", "release"; it makes none then
	Adopt  string         // the database that it adopts; it makes no tenant then
	Role   string         // that database's
	Key    string         // its idempotency key
	Loops  bool           // makes tenants until it is killed, drops every other one, and reconciles beside
	Emails int            // how many e-mails it signs up with that others sign up with too
}

const childVar = "PGTENANCY_TEST_CHILD"

// crashTTL is long enough for a busy machine to renew in time.
const crashTTL = 1500 * time.Millisecond

// TestChildProcess is the body of the processes that other tests start. In any other it does nothing.
func TestChildProcess(t *testing.T) {
	var c child
	if json.Unmarshal([]byte(os.Getenv(childVar)), &c) != nil {
		return
	}
	f, pool := c.fixture(t)
	points := failpoint.New()
	points.On(c.Point, c.signal())
	p := f.provisioner(t, func(cfg *provision.Config) {
		cfg.ClaimTTL = c.TTL
		cfg.Interval = 500 * time.Millisecond
		cfg.SideEffects = ledger{pool}.steps(points)
		cfg.SetFailpoints(points)
		cfg.Schema = &stoppable{f.schema, points}
		switch {
		case c.Fails:
			failingSeed(cfg)
		case c.Point == inSeed:
			cfg.Seed = lateSeed(points)
		}
	})
	switch c.Change {
	case "suspend":
		t.Log(p.Suspend(t.Context(), tenancy.ID(c.ID)))
		return
	case "rotate":
		t.Log(p.RotatePassword(t.Context(), tenancy.ID(c.ID)))
		return
	case "release":
		t.Log(p.Release(t.Context(), tenancy.ID(c.ID)))
		return
	}
	if c.Adopt != "" {
		_, err := p.Adopt(t.Context(), provision.AdoptRequest{
			ID: tenancy.ID(c.ID), Server: "one", Database: c.Adopt, Role: c.Role,
		})
		t.Log(err)
		return
	}
	if c.Loops {
		c.loop(t, p)
		return
	}
	for i := range c.Emails {
		c.create(t, p, fmt.Sprintf("%sx%d", c.ID, i), fmt.Sprintf("same%d@example.org", i))
	}
	if c.Emails > 0 {
		return
	}
	c.create(t, p, c.ID, "")
	if c.Drops {
		c.drop(t, p, c.ID)
	}
}

// fixture is the parent's, seen from the child. A client that is stopped while it logs in keeps every DROP DATABASE of
// the server waiting until its authentication_timeout; with one connection there is none to log in later.
func (c child) fixture(t *testing.T) (*fixture, *pgxpool.Pool) {
	t.Helper()
	admin, err := pgx.ParseConfig("sslmode=disable")
	must(t, err)
	admin.Host, admin.Port, admin.User, admin.Password, admin.Database = c.Host, c.Port, c.User, c.Password, "postgres"
	regCfg, err := pgxpool.ParseConfig("")
	must(t, err)
	regCfg.ConnConfig = admin.Copy()
	regCfg.ConnConfig.Database = c.Registry
	regCfg.ConnConfig.RuntimeParams = map[string]string{"application_name": childName}
	regCfg.MaxConns = 1
	pool := poolOf(t, regCfg)
	return &fixture{
		admin: admin, reg: openRegistryOn(t, pool), prefix: c.Prefix, schema: &sqlSchema{build: members},
	}, pool
}

// childName marks the sessions that children have in the registry.
const childName = "child"

func (c child) signal() failpoint.Action {
	if c.Signal == syscall.SIGKILL {
		return failpoint.Kill()
	}
	return func(ctx context.Context) error {
		err := syscall.Kill(os.Getpid(), c.Signal)
		_ = failpoint.Sleep(20 * time.Millisecond)(ctx) // another thread may get the signal, a little later
		return err
	}
}

func (c child) create(t *testing.T, p *provision.Provisioner, id, email string) bool {
	if email == "" {
		email = "x" + id + "@example.org"
	}
	req := request(t, id, email)
	if c.Key != "" {
		req.IdempotencyKey, req.RequestHash = c.Key, []byte("hash")
	}
	say("begun", id)
	result, err := p.Create(t.Context(), req)
	if err != nil {
		t.Log(err) // a process that was stopped may find that it has lost its claim
		if errors.Is(err, registry.ErrEmailTaken) {
			say("taken", email)
		}
		return false
	}
	say("made", string(result.Tenant.ID))
	return true
}

func (c child) drop(t *testing.T, p *provision.Provisioner, id string) {
	say("dropping", id)
	if err := p.Drop(t.Context(), tenancy.ID(id)); err != nil {
		t.Log(err)
		return
	}
	say("gone", id)
}

func (c child) loop(t *testing.T, p *provision.Provisioner) {
	go func() { _ = p.Run(t.Context()) }()
	for i := 0; ; i++ {
		id := fmt.Sprintf("%sx%d", c.ID, i)
		if c.create(t, p, id, "") && i%2 == 0 {
			c.drop(t, p, id)
		}
	}
}

// say tells the parent, which hears it even if this is the last thing that the process does.
func say(what, id string) { fmt.Printf("\nchild: %s %s\n", what, id) }

// answers is what children have said: ids by what happened to them.
type answers map[string][]string

// hear collects what children said on their standard outputs.
func (a answers) hear(out []byte) {
	for line := range bytes.Lines(out) {
		if said, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "child: "); ok {
			what, id, _ := strings.Cut(said, " ")
			a[what] = append(a[what], id)
		}
	}
}

// command is a process that does as c says. What is not set is the fixture's, or a default.
func (f *fixture) command(t *testing.T, c child) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	c.Host, c.Port, c.User, c.Password = f.admin.Host, f.admin.Port, f.admin.User, f.admin.Password
	c.Registry, c.Prefix = f.regCfg.ConnConfig.Database, f.prefix
	if c.Signal == 0 {
		c.Signal = syscall.SIGKILL
	}
	if c.TTL == 0 {
		c.TTL = crashTTL
	}
	told, err := json.Marshal(c)
	must(t, err)
	cmd := exec.CommandContext(pgtest.Context(t), os.Args[0], "-test.run=^TestChildProcess$", "-test.v")
	cmd.Env = append(os.Environ(), childVar+"="+string(told))
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, t.Output()
	return cmd, out
}

// start runs a process that makes tenant id and gets a signal at point.
func (f *fixture) start(t *testing.T, id, point string, signal syscall.Signal) *exec.Cmd {
	t.Helper()
	f.ledger(t)
	cmd, _ := f.command(t, child{ID: id, Point: point, Signal: signal})
	must(t, cmd.Start())
	return cmd
}

// killed reports whether the process that has ended was killed.
func killed(cmd *exec.Cmd) bool {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == syscall.SIGKILL
}

// stopped reports whether the process has been stopped.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	var status syscall.WaitStatus
	got, err := syscall.Wait4(pid, &status, syscall.WUNTRACED|syscall.WNOHANG, nil)
	must(t, err)
	if got == pid && !status.Stopped() {
		t.Fatalf("ended with %v", status)
	}
	return got == pid
}
