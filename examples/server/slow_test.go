package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Eight of the attacker's churches send one body each, slowly, to a program that may open eight pools. Another church
// is served all the while. A request refused at the door leaves a line with its id.
func TestAttackerWithSlowBodiesKeepsNobodyOut(t *testing.T) {
	const pools = 8
	r := start(t, setup{prefix: "slw_", maxPools: pools})
	victim := r.as(r.register(t, "Victim").AccessToken)
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := make(chan struct{})
	defer close(stop)
	for i := range pools {
		token := r.register(t, fmt.Sprintf("Slow%d", i)).AccessToken
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "POST /api/members HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"+
			"Content-Length: 1000\r\n\r\n{", token)
		wg.Go(func() {
			defer conn.Close()
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					_, _ = io.WriteString(conn, " ")
				}
			}
		})
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for range 10 {
		<-ticker.C
		if status, body, err := victim.send(t.Context(), "GET", "/api/tenant", nil); err != nil || status != http.StatusOK {
			t.Fatalf("beside slow bodies: %d %s, %v", status, body, err)
		}
	}
	for what, body := range map[string]string{
		"not UTF-8":        "{\"email\":\"a@example.org\",\"password\":\"\xff\xfe\xff\xfe\xff\xfe\xff\xfe\"}",
		"a lone surrogate": `{"email":"a@example.org","password":"\ud800\ud801\ud800\ud801"}`,
	} {
		if got, _ := r.post(t, "/api/auth/login", body); got != http.StatusBadRequest {
			t.Errorf("%s: %d", what, got)
		}
	}
	large := `{"email":"a@example.org","password":"` + strings.Repeat("x", 5<<10) + `"}`
	if got, _ := r.post(t, "/api/auth/login", large); got != http.StatusRequestEntityTooLarge {
		t.Errorf("5 KiB at the door: %d", got)
	}
	status, header := r.post(t, "/api/auth/login", `{"email":"unknown@example.org","password":"wrong password"}`)
	id := header.Get("X-Request-Id")
	line := ""
	for l := range strings.Lines(r.logs.String()) {
		if strings.Contains(l, "wrong e-mail or password") {
			line = l
		}
	}
	if status != http.StatusUnauthorized || id == "" || !strings.Contains(line, id) ||
		strings.Contains(r.logs.String(), "unknown@example.org") {
		t.Errorf("%d, request %q, logged %q", status, id, line)
	}
}

// post sends a body as it is; the answer's is closed.
func (r *running) post(t *testing.T, path, body string) (status int, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header
}
