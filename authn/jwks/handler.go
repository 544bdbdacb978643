package jwks

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/pgtenancy/pgtenancy/authn"
)

// HandlerConfig configures a [Handler]. Keys is required.
type HandlerConfig struct {
	// Keys are the keys whose public halves are published: the signing one, the one before and the next one. Each is
	// an Ed25519 key with an id of its own.
	Keys []authn.Key

	// MaxAge is how long a cache on the way may keep the set, in whole seconds: the "max-age" of Cache-Control. A new
	// key waits for so long before it signs. Default: 5 min.
	MaxAge time.Duration
}

// Handler serves a JWK set, usually at /.well-known/jwks.json. It answers GET and HEAD, with an ETag. It is safe for
// concurrent use.
type Handler struct {
	cacheControl string
	document     atomic.Pointer[document]
}

// document is the set as it is served.
type document struct {
	body []byte
	etag string
}

// NewHandler returns a handler, or every violation of cfg at once. An HMAC key is a violation: anyone with it can sign.
func NewHandler(cfg HandlerConfig) (*Handler, error) {
	h := &Handler{}
	err := h.SetKeys(cfg.Keys...)
	if cfg.MaxAge < 0 {
		err = errors.Join(err, errors.New("jwks: HandlerConfig.MaxAge: must not be negative"))
	}
	if err != nil {
		return nil, err
	}
	h.cacheControl = fmt.Sprintf("public, max-age=%d", cmp.Or(cfg.MaxAge, 5*time.Minute)/time.Second)
	return h, nil
}

// SetKeys publishes these keys and no others from now on, or reports every violation and changes nothing.
func (h *Handler) SetKeys(keys ...authn.Key) error {
	var errs []error
	if len(keys) == 0 {
		errs = append(errs, errors.New("jwks: HandlerConfig.Keys: required"))
	}
	set := jwkset.JWKSMarshal{Keys: make([]jwkset.JWKMarshal, 0, len(keys))}
	seen := make(map[string]bool, len(keys))
	for i, key := range keys {
		public, ok := key.Public()
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("jwks: HandlerConfig.Keys[%d]: %s has no public half", i, key))
		case seen[key.ID()]:
			errs = append(errs, fmt.Errorf("jwks: HandlerConfig.Keys[%d]: second key with id %q", i, key.ID()))
		}
		seen[key.ID()] = true
		set.Keys = append(set.Keys, jwkset.JWKMarshal{
			KTY: jwkset.KtyOKP, CRV: jwkset.CrvEd25519, X: base64.RawURLEncoding.EncodeToString(public),
			KID: key.ID(), USE: jwkset.UseSig, ALG: jwkset.AlgEdDSA,
		})
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	body, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	sum := sha256.Sum256(body)
	h.document.Store(&document{body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`})
	return nil
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	d := h.document.Load()
	header := w.Header()
	header.Set("Content-Type", "application/jwk-set+json")
	header.Set("Cache-Control", h.cacheControl)
	header.Set("ETag", d.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.body))
}
