package authn

import (
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	bcryptLength  = 60
	maxBcryptCost = 14 // a second and more

	// maxBcryptPassword is how much of a password bcrypt looks at, in bytes.
	maxBcryptPassword = 72
)

// bcryptHash is a bcrypt hash as other systems have left it. We make none.
type bcryptHash string

func parseBcrypt(s string) (bcryptHash, bool) {
	if len(s) != bcryptLength || s[0] != '$' || s[1] != '2' || !strings.ContainsRune("aby", rune(s[2])) {
		return "", false
	}
	if s[3] != '$' || s[6] != '$' || s[4] < '0' || s[4] > '9' || s[5] < '0' || s[5] > '9' {
		return "", false
	}
	if strings.Trim(s[7:], "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "", false
	}
	cost, err := bcrypt.Cost([]byte(s))
	return bcryptHash(s), err == nil && cost <= maxBcryptCost
}

// match compares all of password: bcrypt ignores all after 72 bytes, and repeats its input with a NUL between,
// so that "a" and "a\x00a" are one password to it. The hash is run all the same, for its time.
func (h bcryptHash) match(password string) bool {
	exact := len(password) <= maxBcryptPassword && strings.IndexByte(password, 0) < 0
	password = password[:min(len(password), maxBcryptPassword)]
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil && exact
}

func (bcryptHash) weaker(params) bool { return true }
