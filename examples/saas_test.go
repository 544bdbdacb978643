package examples_test

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry/keyring"
)

// TestSaasKeepsOrganizationsApart builds the program, signs two organizations up, and stops it.
func TestSaasKeepsOrganizationsApart(t *testing.T) {
	t.Parallel()
	program, address := startSaas(t)
	acme, globex := "acme", "globex"
	cookies := map[string]string{}
	for _, id := range []string{acme, globex} {
		res := ask(t, address, id, "/signup", "", url.Values{"person": {"anne"}})
		if res.status != http.StatusOK || len(res.cookies) != 1 {
			t.Fatalf("sign-up of %s: %d, %d cookies", id, res.status, len(res.cookies))
		}
		cookies[id] = res.cookies[0].Value
	}
	for id, text := range map[string]string{acme: "dynamite", globex: "a plan"} {
		if got := ask(t, address, id, "/notes", cookies[id], url.Values{"text": {text}}).body; got != text+"\n" {
			t.Errorf("notes of %s: %q, want %q", id, got, text)
		}
	}
	tampered := []byte(cookies[acme])
	tampered[2] ^= 1
	for what, c := range map[string]struct {
		id, path, cookie string
		status           int
	}{
		"one's own":          {acme, "/notes", cookies[acme], 200},
		"no cookie":          {acme, "/notes", "", 401},
		"a foreign cookie":   {acme, "/notes", cookies[globex], 404},
		"a changed cookie":   {acme, "/notes", string(tampered), 401},
		"an unknown tenant":  {"nobody", "/notes", cookies[acme], 404},
		"a name that is not": {acme, "/signup", "", 409},
		"the probe":          {acme, "/readyz", "", 200},
	} {
		var form url.Values
		if c.path == "/signup" {
			form = url.Values{}
		}
		if res := ask(t, address, c.id, c.path, c.cookie, form); res.status != c.status {
			t.Errorf("%s: %d, want %d", what, res.status, c.status)
		}
	}
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := program.Wait(); err != nil {
		t.Errorf("the program stops with %v: %s", err, program.Stderr)
	}
}

// answer is what the program answered.
type answer struct {
	status  int
	cookies []*http.Cookie
	body    string
}

// ask sends a request to a tenant; with a form it is a POST.
func ask(t *testing.T, address, id, path, cookie string, form url.Values) answer {
	t.Helper()
	method := "GET"
	if form != nil {
		method = "POST"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = id + ".localhost"
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != "" {
		req.AddCookie(&http.Cookie{Name: "session", Value: cookie})
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Cookies(), string(raw)}
}

func startSaas(t *testing.T) (program *exec.Cmd, address string) {
	t.Helper()
	dir := t.TempDir()
	bin, keys := filepath.Join(dir, "saas"), filepath.Join(dir, "keys.json")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./saas").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := keyring.CreateFile(keys); err != nil {
		t.Fatal(err)
	}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	_ = ln.Close()
	program = exec.CommandContext(context.WithoutCancel(t.Context()), bin)
	program.Env = []string{
		"REGISTRY_URL=" + urlOf(pgtest.Database(t).ConnConfig), "ADMIN_URL=" + urlOf(pgtest.Admin(t)), "ADDR=" + address,
		"KEYS_FILE=" + keys, "SESSION_KEY=" + rand.Text(),
	}
	program.Stderr = new(strings.Builder)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Process.Kill() }) // nothing, if it was waited for
	waitFor(t, address)
	return program, address
}

// urlOf is a connection string.
func urlOf(c *pgx.ConnConfig) string {
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword(c.User, c.Password), Path: "/" + c.Database,
		RawQuery: url.Values{"host": {c.Host}, "port": {strconv.Itoa(int(c.Port))}}.Encode(),
	}
	return dsn.String()
}
