package authn

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// tokenType is the "typ" of an access token (RFC 9068 section 2.1). A token made for another purpose has another.
const tokenType = "at+jwt"

// maxDate is the last second of the year 9999. A later date is in milliseconds, or overflows somewhere.
const maxDate = 253402300799

var errClaims = errors.New("unacceptable claims")

// header is the whole JOSE header of a token.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// UnmarshalJSON refuses every header that is not alg, kid and typ: "crit" must not be ignored (RFC 7515 section
// 4.1.11), and keys or their addresses ("jwk", "jku", "x5c", "x5u") are not taken from the token that they verify.
func (h *header) UnmarshalJSON(data []byte) error {
	names, err := members(data)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != "alg" && name != "kid" && name != "typ" {
			return errClaims
		}
	}
	type plain header
	return json.Unmarshal(data, (*plain)(h))
}

// claims are the claims of an access token. They implement [jwt.ClaimsValidator].
type claims struct {
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	Subject   string `json:"sub"`
	Tenant    string `json:"tid"`
	Session   string `json:"sid"`
	Role      string `json:"role,omitempty"`
	TokenID   string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	ExpiresAt int64  `json:"exp"`
}

// UnmarshalJSON refuses repeated claims and other spellings of ours: encoding/json takes "TID" for "tid" and the last
// one wins, other parsers see it otherwise, and two readers of one token must not see two tenants. Claims that are not
// ours are ignored.
func (c *claims) UnmarshalJSON(data []byte) error {
	names, err := members(data)
	if err != nil {
		return err
	}
	ours := []string{"iss", "aud", "sub", "tid", "sid", "role", "jti", "iat", "nbf", "exp"}
	for _, name := range names {
		if slices.ContainsFunc(ours, func(o string) bool { return o != name && strings.EqualFold(o, name) }) {
			return errClaims
		}
	}
	type plain claims
	return json.Unmarshal(data, (*plain)(c))
}

// Validate is called by the jwt package after its own checks.
func (c *claims) Validate() error {
	for _, s := range []string{c.Issuer, c.Audience, c.Subject, c.Tenant, c.Session, c.TokenID} {
		if s == "" {
			return errClaims
		}
	}
	for _, date := range []int64{c.IssuedAt, c.NotBefore, c.ExpiresAt} {
		if date <= 0 || date > maxDate {
			return errClaims
		}
	}
	return nil
}

// members returns the names in the JSON object data, which must be valid UTF-8 and name nothing twice.
func members(data []byte) ([]string, error) {
	if !utf8.Valid(data) { // encoding/json would replace invalid bytes, and make two names one
		return nil, errClaims
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, errClaims
	}
	var names []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		s, ok := name.(string)
		if !ok || slices.Contains(names, s) {
			return nil, errClaims
		}
		names = append(names, s)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errClaims
	}
	return names, nil
}

// date returns nil for a claim that is absent or zero, so that the jwt package takes 1970 for missing and not for a
// date.
func date(seconds int64) *jwt.NumericDate {
	if seconds <= 0 {
		return nil
	}
	return &jwt.NumericDate{Time: time.Unix(seconds, 0)}
}

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.ExpiresAt), nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return date(c.IssuedAt), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return date(c.NotBefore), nil }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings{c.Audience}, nil }
