package examples_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, // what fasthttp leaves behind: a clock, and workers that end after ten seconds
		"github.com/valyala/fasthttp.updateServerDate.func1", "github.com/valyala/fasthttp.(*workerPool).Start.func2")
}

func TestReadmeShowsTheQuickstart(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("quickstart/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```go\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("README.md has no block of Go")
	}
	if !strings.Contains(string(program), "\n"+block+"\n") || !strings.Contains(block, "func main() {\n") {
		t.Error("the first block of Go in README.md is not the main of examples/quickstart/main.go and what follows it")
	}
}

// TestQuickstartServesTwoTenants builds the README's program, runs it and asks it for each of its tenants.
func TestQuickstartServesTwoTenants(t *testing.T) {
	t.Parallel()
	admin := pgtest.Admin(t)
	conn, err := pgx.ConnectConfig(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, name := range []string{"acme_db", "globex_db"} {
		if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
	}
	address := startQuickstart(t, admin)
	for path, want := range map[string]string{
		"/acme/": "200 hello from acme_db\n", "/globex/": "200 hello from globex_db\n", "/initech/": "404", "/ACME/": "404",
	} {
		status, body := get(t, address+path)
		if got := fmt.Sprint(status, " ", body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func startQuickstart(t *testing.T, admin *pgx.ConnConfig) (address string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "quickstart")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin,
		"./quickstart").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := ln.Addr().String()
	_ = ln.Close()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	program := exec.CommandContext(ctx, bin)
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword(admin.User, admin.Password), Path: "/postgres",
		RawQuery: url.Values{"host": {admin.Host}, "port": {strconv.Itoa(int(admin.Port))}}.Encode(),
	}
	program.Env = []string{"DATABASE_URL=" + dsn.String(), "ADDR=" + listen}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = program.Wait() })
	waitFor(t, listen)
	return "http://" + listen
}

// waitFor waits until something listens at address.
func waitFor(t *testing.T, address string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the program does not listen")
		}
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
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
	return res.StatusCode, string(raw)
}
