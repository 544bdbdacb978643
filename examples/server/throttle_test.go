package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// TestTooManyPasswordsAreToldToWait tries passwords until one is not looked at, by the API and by the form. The first
// delay is a second, and the tests' machine may be slow: then it is one of the next.
func TestTooManyPasswordsAreToldToWait(t *testing.T) {
	r := start(t, setup{prefix: "thr_"})
	r.register(t, "Thr")
	for _, email := range []string{"thr@example.org", "nobody@example.org"} {
		body, err := json.Marshal(map[string]string{"email": email, "password": "wrong password"})
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; ; n++ {
			req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/api/auth/login", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			res, err := httpClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode == http.StatusUnauthorized && n < 12 {
				continue
			}
			after, err := strconv.Atoi(res.Header.Get("Retry-After"))
			if res.StatusCode != http.StatusTooManyRequests || n < 6 || err != nil || after < 1 {
				t.Errorf("%s, attempt %d: status %d, Retry-After %d, %v", email, n, res.StatusCode, after, err)
			}
			break
		}
	}
	b, form := r.browser(), url.Values{"email": {"page@example.org"}, "password": {"wrong password"}}
	for n := 1; ; n++ {
		status, _, page := b.visit(t, "/signin", form)
		if status == http.StatusUnauthorized && n < 12 {
			continue
		}
		if status != http.StatusTooManyRequests || n < 6 || !strings.Contains(page, "Please wait a while") {
			t.Errorf("attempt %d: status %d:\n%s", n, status, page)
		}
		break
	}
}
