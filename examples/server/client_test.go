package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// session is the answer to a sign-up or a sign-in, as a client sees it.
type session struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	ExpiresIn    int64  `json:"expiresIn"`
	Admin        struct {
		ID        string `json:"id"`
		Email     string `json:"email"`
		FirstName string `json:"firstName"`
		LastName  string `json:"lastName"`
		Role      string `json:"role"`
	} `json:"admin"`
	Church struct {
		ID          string    `json:"id"`
		Name        string    `json:"name"`
		Status      string    `json:"status"`
		TrialEndsAt time.Time `json:"trialEndsAt"`
	} `json:"church"`
}

// problem is an error as a client sees it.
type problem struct {
	Title  string            `json:"title"`
	Status int               `json:"status"`
	Detail string            `json:"detail"`
	Fields map[string]string `json:"fields"`
}

// signUp is the body of a registration.
type signUp struct {
	Email      string `json:"email"`
	Password   string `json:"password"`
	FirstName  string `json:"firstName"`
	LastName   string `json:"lastName"`
	ChurchName string `json:"churchName"`
}

const password = "correct horse battery staple"

func newSignUp(name string) signUp {
	return signUp{
		Email: name + "@example.org", Password: password, FirstName: "Ann", LastName: "Lee",
		ChurchName: "St " + name,
	}
}

// caller sends requests to the program, with a token if it has one.
type caller struct {
	url, token string
	header     http.Header
}

func (r *running) as(token string) caller { return caller{url: r.url, token: token} }

// send sends a request and returns the status and the body.
func (c caller) send(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var sent io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		sent = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, sent)
	if err != nil {
		return 0, nil, err
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return res.StatusCode, raw, err
}

// httpClient keeps enough idle connections for the test with many clients, and follows no redirect.
var httpClient = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Second},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends a request and demands a status. It returns the body as a T.
func do[T any](t *testing.T, c caller, method, path string, body any, want int) T {
	t.Helper()
	status, raw, err := c.send(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	if status != want {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, status, want, raw)
	}
	var v T
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return v
}

// none is the body of an answer that has none.
type none struct{}

// register signs a church up.
func (r *running) register(t *testing.T, name string) session {
	t.Helper()
	return do[session](t, r.as(""), "POST", "/api/auth/register", newSignUp(name), http.StatusCreated)
}

// tryRegister signs a church up with headers, and returns the status; 0 if there was no answer.
func (r *running) tryRegister(ctx context.Context, in signUp, header http.Header) (int, session) {
	c := r.as("")
	c.header = header
	status, raw, err := c.send(ctx, "POST", "/api/auth/register", in)
	if err != nil {
		return 0, session{}
	}
	var s session
	if status == http.StatusCreated && json.Unmarshal(raw, &s) != nil {
		panic(fmt.Sprintf("bad answer %q", raw))
	}
	return status, s
}
