package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// child is what a process that is to die is told, through its environment.
type child struct {
	Host     string
	Port     uint16
	User     string
	Password string
	Registry string // database
	Prefix   string
	ID       string
	Where    string // "<step>/begin", "<step>/end", or "drop/…"
	Signal   syscall.Signal
}

const childVar = "PGTENANCY_TEST_CHILD"

// crashTTL is long enough for a busy machine to renew in time.
const crashTTL = 1500 * time.Millisecond

// TestChildProcess is the body of the processes that the tests below start. In any other it does nothing.
func TestChildProcess(t *testing.T) {
	var c child
	if json.Unmarshal([]byte(os.Getenv(childVar)), &c) != nil {
		return
	}
	admin, err := pgx.ParseConfig("sslmode=disable")
	must(t, err)
	admin.Host, admin.Port, admin.User, admin.Password, admin.Database = c.Host, c.Port, c.User, c.Password, "postgres"
	regCfg, err := pgxpool.ParseConfig("")
	must(t, err)
	regCfg.ConnConfig = admin.Copy()
	regCfg.ConnConfig.Database = c.Registry
	// A client that is stopped while it logs in keeps every DROP DATABASE of the server waiting for a minute,
	// authentication_timeout. With one connection there is none to log in later.
	regCfg.MaxConns = 1
	f := &fixture{admin: admin, reg: openRegistry(t, regCfg), prefix: c.Prefix, schema: &sqlSchema{build: members}}
	die := func(where string) {
		if where == c.Where {
			_ = syscall.Kill(os.Getpid(), c.Signal)
			if c.Signal == syscall.SIGKILL {
				select {}
			}
		}
	}
	p := f.provisioner(t, func(cfg *provision.Config) {
		cfg.ClaimTTL = crashTTL
		cfg.Steps = newWorld().steps(func(_ context.Context, step string) error { die(step + "/done"); return nil })
		cfg.Observer.StepStarted = func(_ tenancy.ID, step string) { die(step + "/begin") }
		cfg.Observer.StepEnded = func(_ tenancy.ID, step string, _ time.Duration, _ error) { die(step + "/end") }
	})
	_, err = p.Create(t.Context(), request(t, c.ID, "x"+c.ID+"@example.org"))
	if strings.HasPrefix(c.Where, "drop/") || strings.HasPrefix(c.Where, "forget/") {
		must(t, err)
		err = p.Drop(t.Context(), tenancy.ID(c.ID))
	}
	if err != nil {
		t.Log(err) // a process that was stopped may find that it has lost its claim
	}
}

// start runs a process that makes tenant id and gets a signal at where.
func (f *fixture) start(t *testing.T, id, where string, signal syscall.Signal) *exec.Cmd {
	t.Helper()
	told, err := json.Marshal(child{
		Host: f.admin.Host, Port: f.admin.Port, User: f.admin.User, Password: f.admin.Password,
		Registry: f.regCfg.ConnConfig.Database, Prefix: f.prefix, ID: id, Where: where, Signal: signal,
	})
	must(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildProcess$", "-test.v")
	cmd.Env = append(os.Environ(), childVar+"="+string(told))
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	must(t, cmd.Start())
	return cmd
}

func (f *fixture) survivor(t *testing.T, w *world) *provision.Provisioner {
	t.Helper()
	return f.provisioner(t, func(c *provision.Config) {
		c.ClaimTTL = crashTTL
		c.Steps = w.steps(func(context.Context, string) error { return nil })
	})
}

// TestKilledSignUpIsFinishedByAnother kills processes at each step. Their claims expire, and another one's reconciler
// brings every sign-up to its end.
func TestKilledSignUpIsFinishedByAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.survivor(t, newWorld())
	must(t, p.PrepareTemplate(t.Context(), "one"))
	var ids []string
	for i, place := range places {
		for j, moment := range []string{"/begin", "/end"} {
			if place == "activate" && moment == "/end" {
				moment = "/none" // this one lives
			}
			id := "k" + string(rune('a'+i)) + string(rune('a'+j))
			cmd := f.start(t, id, place+moment, syscall.SIGKILL)
			err := cmd.Wait()
			if killed := err != nil && cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled(); killed == (moment == "/none") {
				t.Fatalf("%s%s: %v", place, moment, err)
			}
			ids = append(ids, id)
		}
	}
	f.reconcile(t, p, f.active(ids...))
	for _, id := range ids {
		tenant, err := f.reg.Lookup(t.Context(), tenancy.ID(id))
		must(t, err)
		conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
		must(t, err)
		var admins int
		must(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM admins").Scan(&admins))
		must(t, conn.Close(t.Context()))
		if admins != 1 {
			t.Errorf("%s has %d admins", id, admins)
		}
	}
	pass, err := p.Reconcile(t.Context())
	must(t, err)
	if len(pass.Unknown)+len(pass.Missing)+len(pass.Retried) > 0 {
		t.Errorf("after all: %+v", pass)
	}
}

// TestKilledDropIsFinishedByAnother does so with deletions.
func TestKilledDropIsFinishedByAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := newWorld()
	p := f.survivor(t, w)
	for i, where := range []string{"drop/begin", "drop/end", "forget/begin"} {
		cmd := f.start(t, "d"+string(rune('a'+i)), where, syscall.SIGKILL)
		if err := cmd.Wait(); err == nil {
			t.Fatalf("%s: the process lived", where)
		}
	}
	f.reconcile(t, p, "")
}

// TestAbandonedSignUpIsUndoneAfterItsLastAttempt has a sign-up that kills, or so it seems, whoever tries it.
func TestAbandonedSignUpIsUndoneAfterItsLastAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_ = f.start(t, "acme", "step:dns/done", syscall.SIGKILL).Wait()
	w := newWorld()
	p := f.provisioner(t, func(c *provision.Config) {
		c.ClaimTTL, c.Attempts = crashTTL, 2
		c.Steps = w.steps(func(_ context.Context, step string) error {
			if step == "step:dns" {
				return errBroken
			}
			return nil
		})
	})
	f.reconcile(t, p, "")
	if w.undone["acme/billing"] != 1 || w.undone["acme/dns"] != 1 || w.done["acme/billing"] != 0 {
		t.Errorf("done %v, undone %v: a recorded step must not be done again, and both undone", w.done, w.undone)
	}
}

// TestStoppedProcessCanDoNothingAfterItsClaim stops a process in the middle and lets it go on when another one has
// finished its work.
func TestStoppedProcessCanDoNothingAfterItsClaim(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.survivor(t, newWorld())
	must(t, p.PrepareTemplate(t.Context(), "one"))
	for i, where := range []string{"database/begin", "database/end", "wall/begin", "seed/begin", "activate/begin"} {
		id := "z" + string(rune('a'+i))
		cmd := f.start(t, id, where, syscall.SIGSTOP)
		eventually(t, "stopped", func() bool { return stopped(t, cmd.Process.Pid) })
		eventually(t, "taken over", func() bool {
			pass, err := p.Reconcile(t.Context())
			must(t, err)
			for id, err := range pass.Retried {
				t.Logf("%s: %s: %v", where, id, err)
			}
			return len(pass.Finished)+len(pass.Undone) == 1 // a busy machine may need more attempts than there are
		})
		if err := p.Drop(t.Context(), tenancy.ID(id)); err != nil && !errors.Is(err, tenancy.ErrNotFound) {
			t.Fatal(err)
		}
		must(t, cmd.Process.Signal(syscall.SIGCONT))
		must(t, cmd.Wait())
		if got := f.residue(t); got != "" {
			t.Fatalf("%s: the stopped process made %s", where, got)
		}
	}
}

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
