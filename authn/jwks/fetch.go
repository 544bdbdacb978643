package jwks

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/pgtenancy/pgtenancy/authn"
)

const (
	fetchTimeout = 10 * time.Second
	maxSetLength = 64 << 10
)

var (
	errNoKey  = errors.New("no Ed25519 key for signatures in it")
	errTwoKey = errors.New("two keys in it have one id")
)

// fetcher returns a function that fetches the keys of the set at address.
func fetcher(address string, client *http.Client) func(context.Context) (map[string]authn.Key, error) {
	client = limited(client)
	return func(ctx context.Context) (map[string]authn.Key, error) {
		keys, err := fetch(ctx, address, client)
		if err != nil {
			return nil, fmt.Errorf("jwks: key set %s: %w", address, err)
		}
		return keys, nil
	}
}

// fetch asks once. When to ask, and how long an answer is good, is decided by set.
func fetch(ctx context.Context, address string, client *http.Client) (map[string]authn.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	var body struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return nil, err
	}
	return usable(body.Keys)
}

// usable returns the keys that tokens may be signed with. It ignores others, also keys that no library can read: of
// another kind, for another use or algorithm, without an id as ours are, or with the private half beside the public
// one. A set without one usable key is none, so that an empty answer does not take good keys away.
func usable(all []json.RawMessage) (map[string]authn.Key, error) {
	keys := make(map[string]authn.Key, len(all))
	for _, raw := range all {
		var m jwkset.JWKMarshal
		if json.Unmarshal(raw, &m) != nil || m.KTY != jwkset.KtyOKP || m.ALG != jwkset.AlgEdDSA || m.USE != jwkset.UseSig {
			continue
		}
		jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
		if err != nil {
			continue
		}
		public, ok := jwk.Key().(ed25519.PublicKey)
		if !ok {
			continue
		}
		key, err := authn.NewEd25519PublicKey(m.KID, public)
		if err != nil {
			continue
		}
		if _, seen := keys[m.KID]; seen {
			return nil, errTwoKey
		}
		keys[m.KID] = key
	}
	if len(keys) == 0 {
		return nil, errNoKey
	}
	return keys, nil
}

// limited returns a copy of client, or a new one, that follows no redirect and reads no long answers.
func limited(client *http.Client) *http.Client {
	c := http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true, // one request in minutes
	}}
	if client != nil {
		c = *client
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	c.Transport = shortAnswers{c.Transport}
	if c.CheckRedirect == nil {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return &c
}

// shortAnswers ends answers with an error where they get too long.
type shortAnswers struct{ http.RoundTripper }

func (t shortAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxSetLength)
	}
	return res, err
}
