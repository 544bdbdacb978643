// Package scram makes SCRAM-SHA-256 verifiers, so that a role's password is set without the server ever reading it:
// a password in CREATE ROLE would stand in the statement log.
package scram

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// Iterations is PostgreSQL's own count. The passwords here are 256 random bits, which no count could make stronger.
const Iterations = 4096

const saltSize = 16

// ErrPassword is returned for a password that is empty or holds anything but printable ASCII. Other characters would
// need SASLprep, without which the server and its clients disagree on them.
var ErrPassword = errors.New("scram: password must be printable ASCII and not empty")

// Verifier returns what PASSWORD '…' of CREATE ROLE and ALTER ROLE takes for password, under a fresh random salt. The
// text holds no quote and no backslash. RFC 5803 names its fields, RFC 7677 the hash.
func Verifier(password string) (string, error) { return salted(password, Iterations) }

// VerifierOfRandom is Verifier for a password of 128 random bits or more, which no stretching makes harder to guess.
// With it, a client logs in without the 4096 iterations.
func VerifierOfRandom(password string) (string, error) { return salted(password, 1) }

func salted(password string, iterations int) (string, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	return verifier(password, salt, iterations)
}

func verifier(password string, salt []byte, iterations int) (string, error) {
	if !printable(password) {
		return "", ErrPassword
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("scram: derive key: %w", err)
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	server := mac(salted, "Server Key")

	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(server)), nil
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
