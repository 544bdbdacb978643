package jwks_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/jwks"
)

func ask(h http.Handler, method, etag string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/.well-known/jwks.json", nil)
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandlerPublishesPublicHalvesAndNothingElse(t *testing.T) {
	t.Parallel()
	half := must(authn.NewEd25519PublicKey("b", ed25519.PublicKey(private("b")[32:])))
	h := must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("a"), half}}))
	var got map[string][]map[string]any
	if err := json.Unmarshal(ask(h, http.MethodGet, "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	var want []map[string]any
	for _, id := range []string{"a", "b"} {
		want = append(want, map[string]any{
			"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": id,
			"x": base64.RawURLEncoding.EncodeToString(private(id)[32:]),
		})
	}
	if diff := cmp.Diff(map[string][]map[string]any{"keys": want}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestHandlerAnswersAsCachesWish(t *testing.T) {
	t.Parallel()
	h := must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("a")}, MaxAge: time.Minute}))
	get := ask(h, http.MethodGet, "")
	if got := get.Header().Get("Cache-Control"); got != "public, max-age=60" {
		t.Errorf("Cache-Control %q", got)
	}
	if got := get.Header().Get("Content-Type"); got != "application/jwk-set+json" {
		t.Errorf("Content-Type %q", got)
	}
	etag := get.Header().Get("ETag")
	if w := ask(h, http.MethodGet, etag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("with the ETag %q: %d %s", etag, w.Code, w.Body)
	}
	if w := ask(h, http.MethodHead, ""); w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("ETag") != etag {
		t.Errorf("HEAD: %d %q %s", w.Code, w.Header(), w.Body)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if w := ask(h, method, ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d %q", method, w.Code, w.Header())
		}
	}
	if err := h.SetKeys(key("a"), key("b")); err != nil {
		t.Fatal(err)
	}
	if w := ask(h, http.MethodGet, etag); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"kid":"b"`) {
		t.Errorf("after SetKeys, with the old ETag: %d %s", w.Code, w.Body)
	}
}

func TestHandlerRefusesSecretsAndReportsEveryViolation(t *testing.T) {
	t.Parallel()
	_, err := jwks.NewHandler(jwks.HandlerConfig{
		Keys: []authn.Key{key("a"), hmacKey("secret-1"), {}, key("a")}, MaxAge: -1,
	})
	for _, want := range []string{
		"HandlerConfig.Keys[1]: authn.Key(secret-1 HS256) has no public half", "HandlerConfig.Keys[2]: ",
		`HandlerConfig.Keys[3]: second key with id "a"`, "HandlerConfig.MaxAge: ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if _, err := jwks.NewHandler(jwks.HandlerConfig{}); err == nil ||
		!strings.Contains(err.Error(), "HandlerConfig.Keys:") {
		t.Errorf("without keys: %v", err)
	}
	h := must(jwks.NewHandler(jwks.HandlerConfig{Keys: []authn.Key{key("a")}}))
	before := ask(h, http.MethodGet, "").Body.String()
	if err := h.SetKeys(key("b"), hmacKey("c")); err == nil {
		t.Error("a secret was accepted by SetKeys")
	}
	if after := ask(h, http.MethodGet, "").Body.String(); after != before {
		t.Errorf("a refused set was published: %s", after)
	}
}
