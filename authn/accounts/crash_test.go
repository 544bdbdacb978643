package accounts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/internal/failpoint"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// child is what a process that is to die does, passed through its environment.
type child struct {
	Host     string
	Port     uint16
	User     string
	Password string
	Registry string // database

	Point  string // where it gets SIGKILL
	Does   string // "accept", "role", "remove" or "password"
	Tenant tenancy.ID
	Admin  string
	Email  string
	Token  string
}

const otherPassword = "an entirely new pass phrase"

const childVar = "PGTENANCY_TEST_CHILD"

// points are where a process dies that changes an admin.
var points = []string{
	"before decide change", "after decide change", "before apply change", "after apply change",
	"before end change", "after end change",
}

// TestChildProcess is the body of the processes that other tests start. In any other it does nothing.
func TestChildProcess(t *testing.T) {
	var c child
	if json.Unmarshal([]byte(os.Getenv(childVar)), &c) != nil {
		return
	}
	admin := must(pgx.ParseConfig("sslmode=disable"))(t)
	admin.Host, admin.Port, admin.User, admin.Password, admin.Database = c.Host, c.Port, c.User, c.Password, "postgres"
	cfg := must(pgxpool.ParseConfig(""))(t)
	cfg.ConnConfig = admin.Copy()
	cfg.ConnConfig.Database = c.Registry
	s := failpoint.New()
	s.On(c.Point, failpoint.Kill())
	h := openHouse(t, cfg, admin, func(cfg *accounts.Config) { cfg.SetFailpoints(s) })
	t.Log(h.do(t, c))
}

func (h *house) do(t *testing.T, c child) (err error) {
	t.Helper()
	by := accounts.ByOperator(c.Tenant, "jane")
	switch c.Does {
	case "accept":
		_, err = h.Accept(t.Context(), accounts.Acceptance{
			Token: c.Token, Password: password, FirstName: "Mary", LastName: "Shelley",
		})
	case "role":
		err = h.SetRole(t.Context(), by, c.Admin, "EDITOR")
	case "remove":
		err = h.Remove(t.Context(), by, c.Admin)
	case "password": // at the tenant where the admin is, and at others
		s := must(h.SignIn(t.Context(), accounts.SignIn{Email: c.Email, Password: password, Tenant: c.Tenant}))(t)
		err = h.ChangePassword(t.Context(), h.identity(t, s), password, otherPassword)
	}
	return err
}

// die has a process do something until it is killed.
func (h *house) die(t *testing.T, c child) {
	t.Helper()
	cfg, admin := h.Catalog.Config().ConnConfig, pgtest.Admin(t)
	c.Host, c.Port, c.User, c.Password, c.Registry = admin.Host, admin.Port, admin.User, admin.Password, cfg.Database
	env := must(json.Marshal(c))(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildProcess$", "-test.v")
	cmd.Env = append(os.Environ(), childVar+"="+string(env))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("%s at %q: the process lived: %v\n%s", c.Does, c.Point, err, out)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%s at %q: %v\n%s", c.Does, c.Point, err, out)
	}
}

// recover is what another process's Run does when the dead one's claim has expired.
func (h *house) recover(t *testing.T) {
	t.Helper()
	if _, err := h.Catalog.Exec(t.Context(), `UPDATE pgtenancy.admin_changes SET claim_expires = now()`); err != nil {
		t.Fatal(err)
	}
	if err := accounts.Work(t.Context(), h.Accounts); err != nil {
		t.Error(err)
	}
	var left int
	err := h.Catalog.QueryRow(t.Context(), `SELECT count(*) FROM pgtenancy.admin_changes`).Scan(&left)
	if err != nil || left > 0 {
		t.Errorf("%d changes left: %v", left, err)
	}
}

// TestKilledProcessLeavesBothRowsOfAnAdminAlike kills a process at each point of each change. What the registry had
// decided on is then finished, and nothing else has changed.
func TestKilledProcessLeavesBothRowsOfAnAdminAlike(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada := h.signUp(t, "ada@example.org")
	by := accounts.ByOperator(ada.Tenant.ID, "jane")
	for n, point := range points {
		decided := n > 0
		email := fmt.Sprintf("p%d@example.org", n)
		i := h.invite(t, by, email, member)
		h.die(t, child{Does: "accept", Point: point, Token: i.Token.Reveal()})
		h.recover(t)
		_, err := h.LookAtInvitation(t.Context(), i.Token.Reveal())
		if used := errors.Is(err, accounts.ErrInvalidToken); used != decided {
			t.Fatalf("accept, killed %s: the invitation: %v", point, err)
		}
		if !decided {
			must(h.Accept(t.Context(), acceptance(i)))(t)
		}
		s := must(h.SignIn(t.Context(), accounts.SignIn{Email: email, Password: password}))(t)
		h.bothHave(t, ada, s.Profile.ID, member, "accept", point)

		h.die(t, child{Does: "role", Point: point, Tenant: ada.Tenant.ID, Admin: s.Profile.ID})
		h.recover(t)
		role := member
		if decided {
			role = "EDITOR"
		}
		h.bothHave(t, ada, s.Profile.ID, role, "role", point)

		s = must(h.SignIn(t.Context(), accounts.SignIn{Email: email, Password: password}))(t)
		h.die(t, child{Does: "remove", Point: point, Tenant: ada.Tenant.ID, Admin: s.Profile.ID})
		_, err = h.SignIn(t.Context(), accounts.SignIn{Email: email, Password: password})
		if (err != nil) != decided {
			t.Errorf("remove, killed %s: sign-in: %v", point, err)
		}
		h.recover(t)
		if decided {
			role = ""
		}
		h.bothHave(t, ada, s.Profile.ID, role, "remove", point)
		if _, err := h.Refresh(t.Context(), s.RefreshToken.Reveal()); (err != nil) != decided {
			t.Errorf("remove, killed %s: session: %v", point, err)
		}
	}
	h.bothHave(t, ada, ada.Profile.ID, registry.RolePrimary, "all", "everywhere")
}

func (h *house) bothHave(t *testing.T, s *accounts.Session, adminID, role, what, point string) {
	t.Helper()
	if reg, own := h.rows(t, s, adminID); reg != role || own != role {
		t.Errorf("%s, killed %s: roles %q and %q, want %q", what, point, reg, own, role)
	}
}

// TestKilledProcessLeavesOnePasswordAtAllTenants kills a process at each point of a change of a password that a person
// has at three tenants.
func TestKilledProcessLeavesOnePasswordAtAllTenants(t *testing.T) {
	t.Parallel()
	for n, point := range points {
		h, own := inThree(t)
		h.die(t, child{Does: "password", Point: point, Tenant: own[1].Tenant.ID, Email: "ada@example.org"})
		h.recover(t)
		want := otherPassword
		if n < 2 { // the leader's row is written between the second point and the third
			want = password
		}
		if got := len(h.choice(t, want).Tenants); got != 3 {
			t.Errorf("killed %s: %d tenants have the password", point, got)
		}
		for i, s := range own {
			if h.tenantHash(t, s) != h.tenantHash(t, own[0]) {
				t.Errorf("killed %s: tenant %d has another hash", point, i)
			}
		}
	}
}

// TestEveryPointOfAChangeIsReached keeps the list from naming a point that is no more.
func TestEveryPointOfAChangeIsReached(t *testing.T) {
	t.Parallel()
	s := failpoint.New()
	h := newHouse(t, func(c *accounts.Config) { c.SetFailpoints(s) })
	h.join(t, accounts.ByOperator(h.signUp(t, "ada@example.org").Tenant.ID, "jane"), "mary@example.org", member)
	for _, p := range points {
		if s.Hits(p) != 1 {
			t.Errorf("%s: reached %d times", p, s.Hits(p))
		}
	}
}
