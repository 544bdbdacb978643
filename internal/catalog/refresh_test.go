package catalog_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// refresh configures, through the environment, a process that is killed while it exchanges tokens.
type refresh struct {
	Host     string
	Port     uint16
	User     string
	Password string
	Registry string // database
	Tokens   []string
	Die      bool // after the first exchange, before it reports the tokens
}

const refreshVar = "PGTENANCY_TEST_REFRESH"

// TestRefreshProcess is the body of the processes that the test below starts. In any other it does nothing.
func TestRefreshProcess(t *testing.T) {
	var told refresh
	if json.Unmarshal([]byte(os.Getenv(refreshVar)), &told) != nil {
		return
	}
	cfg, err := pgxpool.ParseConfig("host=localhost sslmode=disable")
	must(t, err)
	cfg.ConnConfig.Host, cfg.ConnConfig.Port, cfg.ConnConfig.Database = told.Host, told.Port, told.Registry
	cfg.ConnConfig.User, cfg.ConnConfig.Password = told.User, told.Password
	r := newRegistry(t, registry.Config{Pool: newPool(t, cfg), Keyring: newKeyring(t, 1)})
	must(t, r.Check(t.Context()))
	_, _ = os.Stdout.WriteString("ready\n")
	for _, token := range told.Tokens {
		_, _, err := catalog.Of(r).RotateSession(t.Context(), tenancy.NewSecret(token), grace)
		must(t, err)
		if told.Die {
			self, err := os.FindProcess(os.Getpid())
			must(t, err)
			must(t, self.Kill())
		}
	}
}

// kill runs a process that exchanges tokens, and waits until it was killed: by itself, or after a while.
func (f *fixture) kill(t *testing.T, after time.Duration, tokens ...string) {
	t.Helper()
	cfg := f.pool.Config().ConnConfig
	told, err := json.Marshal(refresh{
		Host: cfg.Host, Port: cfg.Port, User: cfg.User, Password: cfg.Password, Registry: cfg.Database,
		Tokens: tokens, Die: after == 0,
	})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestRefreshProcess$")
	cmd.Env = append(os.Environ(), refreshVar+"="+string(told))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	ready := make([]byte, len("ready\n"))
	if _, err := out.Read(ready); err != nil || string(ready) != "ready\n" {
		t.Fatalf("the process says %q, %v", ready, err)
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
	}
	_ = cmd.Wait()
	if cmd.ProcessState.Exited() && cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("the process failed: %v", cmd.ProcessState)
	}
}

func TestTokenWhoseSuccessorWasLostIsGoodAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	kills, tokens, lost, mended := pgtest.Size(1, 50), 40, 0, 0
	defer func() {
		pgtest.Figure(t, "S10", "%d processes killed while they exchanged tokens: %d successors were made and told to "+
			"nobody, "+
			"%d of these tokens were good again", 2*kills, lost, mended)
	}()
	for range kills {
		all := make([]string, 1+tokens)
		for i := range all {
			_, token := f.open(t, "acme")
			all[i] = token.Reveal()
		}
		f.kill(t, 0, all[0])
		f.kill(t, rand.N(100*time.Millisecond)+time.Millisecond, all[1:]...)
		made := f.count(t, "pgtenancy.sessions WHERE counter > 1")
		if f.count(t, `pgtenancy.sessions WHERE counter > 1 AND id = $1`, all[0][:26]) != 1 {
			t.Error("the process that was to die after the exchange has made none")
		}
		lost += made
		for _, token := range all {
			next := f.rotate(t, f.rotate(t, tenancy.NewSecret(token)))
			if next.IsZero() {
				t.Error("no token")
			}
		}
		mended += made
		f.exec(t, `DELETE FROM pgtenancy.sessions`)
	}
}

// TestTheDumpYieldsNoToken makes tokens of everything that the registry keeps of a session, as a thief with a dump of
// it would.
func TestTheDumpYieldsNoToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	s, token := f.open(t, "acme")
	live := f.rotate(t, token)
	f.endGrace(t)
	var sealed []byte
	must(t, f.pool.QueryRow(t.Context(), `SELECT secret FROM pgtenancy.sessions WHERE id = $1`, s.ID).Scan(&sealed))
	secrets := [][]byte{nil, {}, make([]byte, 32), sealed, []byte(s.ID), []byte(s.AdminID), []byte("acme")}
	for _, size := range []int{16, 32, 48, len(sealed)} {
		for from := range len(sealed) - size + 1 {
			secrets = append(secrets, sealed[from:from+size])
		}
	}
	tried := 0
	for _, secret := range secrets {
		sum := sha256.Sum256(secret)
		for _, counter := range []int64{0, 1, 2, 3} {
			for _, key := range [][]byte{secret, sum[:], bytes.Repeat(secret, 2)} {
				forged := catalog.SignRefreshToken(key, s, counter)
				if forged == live {
					t.Fatal("the registry keeps what a token is made of")
				}
				tried++
			}
		}
		f.wantInvalid(t, "made of the dump: "+strconv.Itoa(len(secret))+" bytes", catalog.SignRefreshToken(secret, s, 2))
	}
	f.rotate(t, live)
	pgtest.Figure(t, "S10", "%d tokens made of a session's row: 0 are good, and the session lives", tried)
}
