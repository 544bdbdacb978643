package authn_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

const edHeader = `{"alg":"EdDSA","kid":"2026-11","typ":"at+jwt"}`

// signed returns a token that is good but for the changes of its claims.
func signed(changes map[string]any) string { return forge(edHeader, payload(changes), eddsa) }

// with returns a token that is good but for its header.
func with(header string) string { return forge(header, payload(nil), eddsa) }

// claimed returns a token whose payload is this, between the braces after the claims of a good token.
func claimed(more string) string {
	return forge(edHeader, strings.TrimSuffix(payload(nil), "}")+","+more+"}", eddsa)
}

// badTokens are tokens that a verifier with the one key edKey must not accept.
func badTokens() map[string]string {
	good := signed(nil)
	parts := strings.Split(good, ".")
	now := time.Now().Unix()
	hs := func(h, key string) string { return forge(h, payload(nil), hs256(key)) }
	tail := func(last byte) string { // the last character carries 4 bits that mean nothing
		return good[:len(good)-1] + string(last)
	}
	tokens := map[string]string{
		"alg none":                with(`{"alg":"none","kid":"2026-11","typ":"at+jwt"}`),
		"alg none, no signature":  forge(`{"alg":"none","kid":"2026-11","typ":"at+jwt"}`, payload(nil), unsigned),
		"alg None":                forge(`{"alg":"None","kid":"2026-11","typ":"at+jwt"}`, payload(nil), unsigned),
		"alg nOnE":                forge(`{"alg":"nOnE","kid":"2026-11","typ":"at+jwt"}`, payload(nil), unsigned),
		"alg empty":               with(`{"alg":"","kid":"2026-11","typ":"at+jwt"}`),
		"alg absent":              with(`{"kid":"2026-11","typ":"at+jwt"}`),
		"alg null":                with(`{"alg":null,"kid":"2026-11","typ":"at+jwt"}`),
		"alg a list":              with(`{"alg":["EdDSA"],"kid":"2026-11","typ":"at+jwt"}`),
		"alg in lower case":       with(`{"alg":"eddsa","kid":"2026-11","typ":"at+jwt"}`),
		"alg ES256":               with(`{"alg":"ES256","kid":"2026-11","typ":"at+jwt"}`),
		"alg RS256":               with(`{"alg":"RS256","kid":"2026-11","typ":"at+jwt"}`),
		"HS256 with public key":   hs(`{"alg":"HS256","kid":"2026-11","typ":"at+jwt"}`, string(public())),
		"HS256 with empty key":    hs(`{"alg":"HS256","kid":"2026-11","typ":"at+jwt"}`, ""),
		"EdDSA, HMAC with public": hs(edHeader, string(public())),
		"two algs":                with(`{"alg":"none","alg":"EdDSA","kid":"2026-11","typ":"at+jwt"}`),
		"alg in two cases":        with(`{"ALG":"none","alg":"EdDSA","kid":"2026-11","typ":"at+jwt"}`),

		"kid absent":          with(`{"alg":"EdDSA","typ":"at+jwt"}`),
		"kid empty":           with(`{"alg":"EdDSA","kid":"","typ":"at+jwt"}`),
		"kid unknown":         with(`{"alg":"EdDSA","kid":"2026-10","typ":"at+jwt"}`),
		"kid unknown, HS256":  hs(`{"alg":"HS256","kid":"nobody","typ":"at+jwt"}`, ""),
		"kid a path":          hs(`{"alg":"HS256","kid":"../../../dev/null","typ":"at+jwt"}`, ""),
		"kid SQL":             hs(`{"alg":"HS256","kid":"x' UNION SELECT 'key","typ":"at+jwt"}`, "key"),
		"kid a URL":           with(`{"alg":"EdDSA","kid":"https://evil.example/key","typ":"at+jwt"}`),
		"kid a number":        with(`{"alg":"EdDSA","kid":2026,"typ":"at+jwt"}`),
		"kid null":            with(`{"alg":"EdDSA","kid":null,"typ":"at+jwt"}`),
		"kid with NUL":        with(`{"alg":"EdDSA","kid":"2026-11\u0000","typ":"at+jwt"}`),
		"two kids":            with(`{"alg":"EdDSA","kid":"x","kid":"2026-11","typ":"at+jwt"}`),
		"jwk in the header":   with(`{"alg":"EdDSA","kid":"2026-11","typ":"at+jwt","jwk":{"kty":"OKP"}}`),
		"jku in the header":   with(`{"alg":"EdDSA","kid":"2026-11","typ":"at+jwt","jku":"https://evil.example"}`),
		"crit in the header":  with(`{"alg":"EdDSA","kid":"2026-11","typ":"at+jwt","crit":["b64"],"b64":false}`),
		"x5u in the header":   with(`{"alg":"EdDSA","kid":"2026-11","typ":"at+jwt","x5u":"https://evil.example"}`),
		"x5c in the header":   with(`{"alg":"EdDSA","kid":"2026-11","typ":"at+jwt","x5c":["AA=="]}`),
		"zip in the header":   with(`{"alg":"EdDSA","kid":"2026-11","typ":"at+jwt","zip":"DEF"}`),
		"header with a BOM":   with("\ufeff" + edHeader),
		"header null":         with(`null`),
		"header a list":       with(`["EdDSA"]`),
		"header not JSON":     with(`{"alg":"EdDSA"`),
		"header with trailer": with(edHeader + `{}`),
		"header not UTF-8":    with("{\"alg\":\"EdDSA\",\"kid\":\"2026-11\",\"typ\":\"at+jwt\",\"\xff\":1}"),

		"typ JWT":                with(`{"alg":"EdDSA","kid":"2026-11","typ":"JWT"}`),
		"typ absent":             with(`{"alg":"EdDSA","kid":"2026-11"}`),
		"refresh token":          with(`{"alg":"EdDSA","kid":"2026-11","typ":"rt+jwt"}`),
		"typ in upper case":      with(`{"alg":"EdDSA","kid":"2026-11","typ":"AT+JWT"}`),
		"nested token":           forge(`{"alg":"EdDSA","kid":"2026-11","typ":"at+jwt","cty":"JWT"}`, good, eddsa),
		"a token as its payload": forge(edHeader, good, eddsa),

		"iss absent":       signed(map[string]any{"iss": absent{}}),
		"iss empty":        signed(map[string]any{"iss": ""}),
		"iss another":      signed(map[string]any{"iss": "https://evil.example"}),
		"iss with a slash": signed(map[string]any{"iss": issuerName + "/"}),
		"iss a list":       signed(map[string]any{"iss": []string{issuerName}}),
		"iss null":         signed(map[string]any{"iss": nil}),
		"aud absent":       signed(map[string]any{"aud": absent{}}),
		"aud empty":        signed(map[string]any{"aud": ""}),
		"aud another":      signed(map[string]any{"aud": "billing"}),
		"aud no list":      signed(map[string]any{"aud": []string{}}),
		"aud empty list":   signed(map[string]any{"aud": []string{""}}),
		"aud a number":     signed(map[string]any{"aud": 1}),
		"aud an object":    signed(map[string]any{"aud": map[string]any{audience: true}}),
		"tid an object":    signed(map[string]any{"tid": map[string]any{"tid": "acme"}}),
		"aud in two":       signed(map[string]any{"aud": []string{"billing", audience}}),
		"sub absent":       signed(map[string]any{"sub": absent{}}),
		"sub empty":        signed(map[string]any{"sub": ""}),
		"sub a number":     signed(map[string]any{"sub": 1}),
		"tid absent":       signed(map[string]any{"tid": absent{}}),
		"tid empty":        signed(map[string]any{"tid": ""}),
		"tid a list":       signed(map[string]any{"tid": []string{"acme"}}),
		"tid null":         signed(map[string]any{"tid": nil}),
		"sid absent":       signed(map[string]any{"sid": absent{}}),
		"sid empty":        signed(map[string]any{"sid": ""}),
		"jti absent":       signed(map[string]any{"jti": absent{}}),
		"jti empty":        signed(map[string]any{"jti": ""}),

		"exp absent":          signed(map[string]any{"exp": absent{}}),
		"exp null":            signed(map[string]any{"exp": nil}),
		"exp 0":               signed(map[string]any{"exp": 0}),
		"exp negative":        signed(map[string]any{"exp": -1}),
		"exp a string":        signed(map[string]any{"exp": "9999999999"}),
		"exp a word":          signed(map[string]any{"exp": "NaN"}),
		"exp true":            signed(map[string]any{"exp": true}),
		"exp a fraction":      signed(map[string]any{"exp": raw("4102444800.5")}),
		"exp 1e10":            signed(map[string]any{"exp": raw("1e10")}),
		"exp 1e400":           signed(map[string]any{"exp": raw("1e400")}),
		"exp beyond int64":    signed(map[string]any{"exp": raw("9223372036854775808")}),
		"exp max int64":       signed(map[string]any{"exp": raw("9223372036854775807")}),
		"exp in milliseconds": signed(map[string]any{"exp": (now + 600) * 1000}),
		"exp Infinity":        forge(edHeader, strings.Replace(payload(nil), `"exp":`, `"exp":Infinity,"x":`, 1), eddsa),
		"exp a list":          signed(map[string]any{"exp": []int64{now + 600}}),
		"exp minus 0":         signed(map[string]any{"exp": raw("-0")}),
		"exp with exponent":   signed(map[string]any{"exp": raw("4102444800e0")}),
		"nbf a string":        signed(map[string]any{"nbf": "1"}),
		"iat 0":               signed(map[string]any{"iat": 0}),
		"iat null":            signed(map[string]any{"iat": nil}),
		"exp NaN":             forge(edHeader, strings.Replace(payload(nil), `"exp":`, `"exp":NaN,"x":`, 1), eddsa),
		"nbf absent":          signed(map[string]any{"nbf": absent{}}),
		"nbf 0":               signed(map[string]any{"nbf": 0}),
		"nbf in an hour":      signed(map[string]any{"nbf": now + 3600, "exp": now + 7200}),
		"iat absent":          signed(map[string]any{"iat": absent{}}),
		"iat in an hour":      signed(map[string]any{"iat": now + 3600, "exp": now + 7200}),

		"two tids":              claimed(`"tid":"victim"`),
		"tid and TID":           claimed(`"TID":"victim"`),
		"tid and Tid":           claimed(`"Tid":"victim"`),
		"tid spelt with \\u":    claimed(`"\u0074id":"victim"`),
		"sub with a long s":     claimed(`"ſub":"victim"`), // U+017F folds to s
		"two exps":              claimed(`"exp":4102444800`),
		"exp and EXP":           claimed(`"EXP":4102444800`),
		"two auds":              claimed(`"aud":"api"`),
		"two of another claim":  claimed(`"x":1,"x":2`),
		"role and ROLE":         claimed(`"ROLE":"OWNER"`),
		"TID alone":             forge(edHeader, strings.Replace(payload(nil), `"tid"`, `"TID"`, 1), eddsa),
		"claims in an object":   forge(edHeader, `{"claims":`+payload(nil)+`}`, eddsa),
		"claims in a string":    forge(edHeader, strconv.Quote(payload(nil)), eddsa),
		"payload with a BOM":    forge(edHeader, "\ufeff"+payload(nil), eddsa),
		"claim not UTF-8":       claimed("\"x\":\"\xff\""),
		"payload null":          forge(edHeader, `null`, eddsa),
		"payload a list":        forge(edHeader, `[]`, eddsa),
		"payload empty object":  forge(edHeader, `{}`, eddsa),
		"payload empty":         forge(edHeader, ``, eddsa),
		"payload with trailer":  forge(edHeader, payload(nil)+`{}`, eddsa),
		"payload deeply nested": forge(edHeader, strings.Repeat("[", 4000), eddsa),

		"another key's signature": forge(edHeader, payload(nil), hs256(secret)),
		"no signature":            parts[0] + "." + parts[1] + ".",
		"two parts":               parts[0] + "." + parts[1],
		"one part":                parts[0],
		"four parts":              good + ".",
		"five parts":              good + "." + parts[1] + "." + parts[2],
		"dots":                    strings.Repeat(".", 8000),
		"two dots":                "..",
		"no header":               "." + parts[1] + "." + parts[2],
		"no payload":              parts[0] + ".." + parts[2],
		"tenant changed": parts[0] + "." + segment([]byte(payload(map[string]any{"tid": "victim"}))) + "." +
			parts[2],
		"signature cut":          good[:len(good)-1],
		"signature longer":       good + "A",
		"signature with newline": good[:len(good)-10] + "\n" + good[len(good)-10:],
		"signature with CR":      good + "\r\n",
		"payload with newline":   strings.Replace(good, ".", ".\n", 1),
		"signature padded":       good + "==",
		"standard base64":        strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+",
		"leading space":          " " + good,
		"with its scheme":        "Bearer " + good,
		"with NUL":               good + "\x00",
		"quoted":                 `"` + good + `"`,
		"JSON serialization": `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] +
			`"}`,
		"1 MB":              signed(map[string]any{"x": strings.Repeat("x", 1<<20)}),
		"1 MB of letters":   strings.Repeat("A", 1<<20),
		"a byte over 8 KiB": strings.Repeat("A", authn.MaxTokenLength+1),
	}
	for _, last := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		if last != good[len(good)-1] {
			tokens["last character "+string(last)] = tail(last)
		}
	}
	return tokens
}

// published is a JWK set that is reached without a network.
type published struct{ http.Handler }

func (p published) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

func newRemote(t *testing.T, keys ...authn.Key) *jwks.Remote {
	t.Helper()
	set := published{must(jwks.NewHandler(jwks.HandlerConfig{Keys: keys}))}
	remote, err := jwks.NewRemote(jwks.RemoteConfig{
		URL: "https://auth.example.com/", Issuer: issuerName, Audience: audience, Client: &http.Client{Transport: set},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remote.Close)
	return remote
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	tokens := badTokens()
	accepted := 0
	defer func() {
		pgtest.Figure(t, "S1", "%d forged tokens, to a verifier, a cache and a verifier with a remote key set: %d accepted",
			len(tokens), accepted)
	}()
	if len(tokens) < 120 {
		t.Errorf("only %d tokens", len(tokens))
	}
	type verifier interface {
		Verify(ctx context.Context, raw string) (*authn.Identity, error)
	}
	for kind, v := range map[string]verifier{
		"verifier": newVerifier(t, edKey()),
		"cache":    must(authn.NewCache(authn.CacheConfig{Verifier: newVerifier(t, edKey())})),
		"remote":   newRemote(t, edKey()),
	} {
		if _, err := v.Verify(t.Context(), signed(nil)); err != nil {
			t.Fatalf("%s: the token that the others are made from: %v", kind, err)
		}
		for name, token := range tokens {
			id, err := v.Verify(t.Context(), token)
			if err == nil {
				accepted++
			}
			if !errors.Is(err, authn.ErrTokenInvalid) || id != nil {
				t.Errorf("%s: %s: %+v, %v", kind, name, id, err)
			}
		}
	}
}

func TestForgedTokensAreRefusedByAnHMACVerifier(t *testing.T) {
	t.Parallel()
	const header = `{"alg":"HS256","kid":"2026-11","typ":"at+jwt"}`
	verifier := newVerifier(t, hmacKey())
	if _, err := verifier.Verify(t.Context(), forge(header, payload(nil), hs256(secret))); err != nil {
		t.Fatalf("the token that the others are made from: %v", err)
	}
	for name, token := range map[string]string{
		"empty key":         forge(header, payload(nil), hs256("")),
		"zero key":          forge(header, payload(nil), hs256(string(zeros(32)))),
		"another key":       forge(header, payload(nil), hs256(seed)),
		"unknown kid":       forge(`{"alg":"HS256","kid":"nobody","typ":"at+jwt"}`, payload(nil), hs256("")),
		"HS512":             forge(`{"alg":"HS512","kid":"2026-11","typ":"at+jwt"}`, payload(nil), hs512),
		"HS512 with 256":    forge(`{"alg":"HS512","kid":"2026-11","typ":"at+jwt"}`, payload(nil), hs256(secret)),
		"HS256 with 512":    forge(header, payload(nil), hs512),
		"signature cut":     forge(header, payload(nil), func(b []byte) []byte { return hs256(secret)(b)[:31] }),
		"empty signature":   forge(header, payload(nil), unsigned),
		"alg none":          forge(`{"alg":"none","kid":"2026-11","typ":"at+jwt"}`, payload(nil), unsigned),
		"an EdDSA token":    signed(nil),
		"EdDSA with secret": forge(edHeader, payload(nil), hs256(secret)),
	} {
		if id, err := verifier.Verify(t.Context(), token); !errors.Is(err, authn.ErrTokenInvalid) || id != nil {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

func TestOnlyAGoodTokenExpires(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	old := func(changes map[string]any) string {
		changes["iat"], changes["nbf"], changes["exp"] = now-700, now-700, now-100
		return signed(changes)
	}
	expired := old(map[string]any{})
	remote := newRemote(t, edKey())
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"empty":                   {"", authn.ErrTokenMissing},
		"expired":                 {expired, authn.ErrTokenExpired},
		"expired, bad signature":  {expired[:len(expired)-4] + "AAAA", authn.ErrTokenInvalid},
		"expired, other issuer":   {old(map[string]any{"iss": "https://evil.example"}), authn.ErrTokenInvalid},
		"expired, other audience": {old(map[string]any{"aud": "billing"}), authn.ErrTokenInvalid},
		"expired, no tenant":      {old(map[string]any{"tid": absent{}}), authn.ErrTokenInvalid},
		"expired before it began": {signed(map[string]any{"nbf": now + 900, "exp": now - 100}), authn.ErrTokenInvalid},
	} {
		if _, err := newVerifier(t, edKey()).Verify(t.Context(), c.token); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, err := remote.Verify(t.Context(), c.token); !errors.Is(err, c.want) {
			t.Errorf("%s, remote key: %v, want %v", name, err, c.want)
		}
	}
}

func TestBadTokensAllocateLittle(t *testing.T) {
	verifier := newVerifier(t, edKey())
	tokens := badTokens()
	tokens["8 KiB, unsigned"] = forge(edHeader, payload(map[string]any{"x": strings.Repeat("x", 5900)}), unsigned)
	tokens["deep, unsigned"] = forge(edHeader, strings.Repeat("[", 6000), unsigned)
	tokens["deep header"] = forge(strings.Repeat("[", 5000), payload(nil), unsigned)
	var most uint64
	for name, token := range tokens {
		if name == "payload deeply nested" {
			continue // its signature is right: only a holder of the key can send it
		}
		n := bytesOf(func() { _, _ = verifier.Verify(t.Context(), token) })
		if most = max(most, n); n > 16<<10 {
			t.Errorf("%s: %d bytes for a token of %d", name, n, len(token))
		}
	}
	pgtest.Figure(t, "S1", "%d bad tokens, of up to %d bytes: %d bytes allocated for one at most", len(tokens), 1<<20,
		most)
}
