package catalog

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// refreshToken is "<session id>.<counter>.<mac>". The MAC is keyed by a secret of the session that is sealed at rest,
// so that a dump of the registry holds nothing that opens a session, and a token can be made again at will.
type refreshToken struct {
	session string
	counter int64
	mac     []byte
}

// sessionSecretSize is 256 bits.
const sessionSecretSize = 32

func newSessionSecret() []byte {
	secret := make([]byte, sessionSecretSize)
	_, _ = rand.Read(secret) // never fails
	return secret
}

func signRefreshToken(secret []byte, s Session, counter int64) tenancy.Secret {
	mac := base64.RawURLEncoding.EncodeToString(sessionMAC(secret, s, counter))
	return tenancy.NewSecret(s.ID + "." + strconv.FormatInt(counter, 10) + "." + mac)
}

// parseRefreshToken accepts the one spelling that signRefreshToken gives a token.
func parseRefreshToken(s string) (refreshToken, bool) {
	parts := strings.Split(s, ".")
	if len(s) > 256 || len(parts) != 3 || !isSessionID(parts[0]) {
		return refreshToken{}, false
	}
	counter, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || counter < 0 || strconv.FormatInt(counter, 10) != parts[1] {
		return refreshToken{}, false
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(mac) != sha256.Size || base64.RawURLEncoding.EncodeToString(mac) != parts[2] {
		return refreshToken{}, false
	}
	return refreshToken{session: parts[0], counter: counter, mac: mac}, true
}

func (t refreshToken) signedBy(secret []byte, s Session) bool {
	return hmac.Equal(t.mac, sessionMAC(secret, s, t.counter))
}

// sessionMAC covers the session's owner: a writer to the registry cannot make it another's.
func sessionMAC(secret []byte, s Session, counter int64) []byte {
	mac := hmac.New(sha256.New, secret)
	_, _ = fmt.Fprintf(mac, "v2|%s|%d|%s|%d:%s", s.ID, counter, s.TenantID, len(s.AdminID), s.AdminID)
	return mac.Sum(nil)
}

// isSessionID reports whether s could come from rand.Text, in lower case.
func isSessionID(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return len(s) >= 26
}
