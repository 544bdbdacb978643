package totp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	rfc6238 "github.com/pquerna/otp/totp"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/status"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

var (
	// ErrWrongCode is returned by Confirm for a code that is wrong, or was used before.
	ErrWrongCode error = status.Field("totp: wrong code", "code", "is wrong, or was used before")

	// ErrNotEnrolled is returned by Confirm for an admin who has not called Enroll.
	ErrNotEnrolled error = status.New(status.Conflict, "totp: not enrolled", "Set the second factor up first.")
)

const (
	period     = 30 * time.Second
	skew       = 1  // steps on either side
	secretSize = 20 // bytes, as RFC 4226 recommends
)

// Config configures [TOTP]. Both fields are required.
type Config struct {
	Registry *registry.Registry

	// Issuer is what the application shows beside the code: the service's name. It has no colon.
	Issuer string
}

// TOTP is an accounts.SecondFactor. It keeps nothing in memory, and is safe for concurrent use.
type TOTP struct {
	catalog *catalog.Catalog
	issuer  string
}

// Format implements [fmt.Formatter]: under every verb a TOTP shows nothing; it leads to the keys.
func (*TOTP) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "totp") }

// New returns a TOTP for cfg, or an error that names every field that is wrong.
func New(cfg Config) (*TOTP, error) {
	var errs []error
	if cfg.Registry == nil {
		errs = append(errs, errors.New("totp: Config.Registry: required"))
	}
	if cfg.Issuer == "" || strings.Contains(cfg.Issuer, ":") {
		errs = append(errs, errors.New("totp: Config.Issuer: must be a name without a colon"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &TOTP{catalog: catalog.Of(cfg.Registry), issuer: strings.Clone(cfg.Issuer)}, nil
}

// Enroll makes a secret for an admin and returns it as an otpauth URI, for a QR code that the admin scans. It is not in
// force until Confirm. account is what the application shows beside the issuer, such as the admin's e-mail. Ask for the
// password before, with Accounts.CheckPassword. It returns registry.ErrConflict for an admin whose second factor is in
// force, and registry.ErrAdminNotFound. ctx governs the statement.
func (f *TOTP) Enroll(ctx context.Context, m registry.Membership, account string) (tenancy.Secret, error) {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	if err := f.catalog.PutFactor(ctx, m, secret); err != nil {
		return tenancy.Secret{}, err
	}
	label := url.PathEscape(f.issuer) + ":" + url.PathEscape(account)
	query := url.Values{"secret": {encode(secret)}, "issuer": {f.issuer}}
	return tenancy.NewSecret("otpauth://totp/" + label + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")), nil
}

// Confirm puts an admin's second factor in force, by the first code that their application shows. It returns
// [ErrWrongCode] and [ErrNotEnrolled]. The caller bounds the attempts. ctx governs the statements.
func (f *TOTP) Confirm(ctx context.Context, m registry.Membership, code string) error {
	ok, enrolled, err := f.use(ctx, m, code)
	switch {
	case err != nil:
		return err
	case !enrolled:
		return ErrNotEnrolled
	case !ok:
		return ErrWrongCode
	}
	return f.catalog.ConfirmFactor(ctx, m)
}

// Remove takes an admin's second factor: from then on the password is enough. It is no error if there is none. ctx
// governs the transaction.
func (f *TOTP) Remove(ctx context.Context, m registry.Membership) error {
	return f.catalog.DeleteFactor(ctx, m)
}

// Required implements accounts.SecondFactor: it reports whether the admin has a second factor in force.
func (f *TOTP) Required(ctx context.Context, m registry.Membership) (bool, error) {
	factor, ok, err := f.catalog.Factor(ctx, m)
	return ok && factor.Confirmed, err
}

// Prove implements accounts.SecondFactor: it reports whether code is right now, and uses it up.
func (f *TOTP) Prove(ctx context.Context, m registry.Membership, code string) (bool, error) {
	ok, _, err := f.use(ctx, m, code)
	return ok, err
}

// use reports whether code is right and was not used before, nor a later one, and whether there is a secret at all.
func (f *TOTP) use(ctx context.Context, m registry.Membership, code string) (ok, enrolled bool, err error) {
	factor, enrolled, err := f.catalog.Factor(ctx, m)
	if err != nil || !enrolled {
		return false, enrolled, err
	}
	step, ok, err := match(factor.Secret, strings.TrimSpace(code), time.Now())
	if err != nil || !ok {
		return false, true, err
	}
	ok, err = f.catalog.UseFactor(ctx, m, step)
	return ok, true, err
}

// match returns the time step that code is of, the latest of those that are good at now.
func match(secret []byte, code string, now time.Time) (step int64, ok bool, err error) {
	opts := rfc6238.ValidateOpts{Period: uint(period.Seconds()), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
	current := now.Unix() / int64(period.Seconds())
	for s := current - skew; s <= current+skew; s++ {
		want, err := rfc6238.GenerateCodeCustom(encode(secret), time.Unix(s*int64(period.Seconds()), 0), opts)
		if err != nil {
			return 0, false, fmt.Errorf("totp: make code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok, nil
}

func encode(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}
