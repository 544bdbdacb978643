package main

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browser is just enough of one: it keeps cookies, also Secure ones, as browsers do on http://localhost.
type browser struct {
	url     string
	cookies map[string]*http.Cookie
}

func (r *running) browser() *browser { return &browser{url: r.url, cookies: map[string]*http.Cookie{}} }

// visit sends a form, or with none asks for a page, and returns status, place to go to and body.
func (b *browser) visit(t *testing.T, path string, form url.Values) (status int, location, body string) {
	t.Helper()
	method, sent := "GET", io.Reader(nil)
	if form != nil {
		method, sent = "POST", strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, c := range b.cookies {
		req.AddCookie(c)
	}
	res, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode ||
			c.Path != "/" || c.Domain != "" {
			t.Errorf("cookie %s is not kept safe", c.Name)
		}
		b.cookies[c.Name] = c
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") {
		t.Errorf("%s: Content-Security-Policy %q", path, csp)
	}
	return res.StatusCode, res.Header.Get("Location"), string(raw)
}

// signUpForm signs a church up by the form, as a browser without JavaScript does.
func (o *original) signUpForm(t *testing.T) {
	b := o.browser()
	_, _, page := b.visit(t, "/signup", nil)
	key := regexp.MustCompile(`name="key" value="([A-Z2-7]+)"`).FindStringSubmatch(page)
	if key == nil {
		t.Fatalf("no key in the form:\n%s", page)
	}
	form := url.Values{"key": {key[1]}, "email": {"form@example.org"}, "churchName": {"<b>Form</b>"}}
	status, _, page := b.visit(t, "/signup", form)
	if status != 422 || strings.Count(page, `aria-invalid="true"`) != 3 || strings.Contains(page, "<b>Form") {
		t.Errorf("status %d:\n%s", status, page)
	}
	form.Set("firstName", "F")
	form.Set("lastName", "M")
	form.Set("password", password)
	status, location, _ := b.visit(t, "/signup", form)
	if status != http.StatusSeeOther || location != "/church" {
		t.Fatalf("status %d to %q", status, location)
	}
	// Sent again, by an impatient click: the same church, not an error and not another one.
	if status, location, _ := o.browser().visit(t, "/signup", form); status != 303 || location != "/church" {
		t.Errorf("sent twice: status %d to %q", status, location)
	}
	if status, _, page = b.visit(t, "/church", nil); status != 200 || !strings.Contains(page, "&lt;b&gt;Form&lt;/b&gt;") {
		t.Errorf("status %d:\n%s", status, page)
	}
	taken := url.Values{
		"email": {"FORM@example.org"}, "churchName": {"X"}, "firstName": {"X"}, "lastName": {"X"},
		"password": {password},
	}
	if status, _, page := o.browser().visit(t, "/signup",
		taken); status != 409 || !strings.Contains(page, "has an account already") {
		t.Errorf("taken e-mail: status %d", status)
	}
	// The access token has expired: the refresh token lets in.
	delete(b.cookies, "__Host-access")
	if status, _, _ := b.visit(t, "/church", nil); status != 200 || b.cookies["__Host-access"] == nil {
		t.Errorf("with the refresh token alone: status %d", status)
	}
	if status, location, _ := b.visit(t, "/signout",
		url.Values{}); status != 303 || location != "/" || len(b.cookies) != 0 {
		t.Errorf("sign-out: status %d to %q, cookies %v", status, location, b.cookies)
	}
	if status, location, _ := b.visit(t, "/church", nil); status != 303 || location != "/signin" {
		t.Errorf("signed out: status %d to %q", status, location)
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	r := start(t, setup{prefix: "form_"})
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/signin", strings.NewReader("email=a&password=b"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", res.StatusCode)
	}
}
