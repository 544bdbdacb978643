package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
)

// Throttle is how fast passwords may be tried and accounts be made. The zero Throttle is fit for use, and so is a Pace
// with fields that are zero: each has the default that is named here.
//
// Attempts are counted in the registry, by all processes together and over their restarts, and before the password is
// looked at, so that many at once are no more than one after the other. A refused one, with [ErrThrottled], costs
// no key derivation and counts nowhere. All that is kept of an e-mail or an address is a keyed hash.
//
// The throttle locks no one out. An attacker who keeps trying an account from anywhere makes its owner wait, for
// MaxDelay at most, and may come first when that is over; but not where the owner has signed in within thirty days,
// from the same address: there only attempts from that same address count. So what malice costs an owner is to be kept
// from signing in at a new place, for as long as it goes on. Those at one address can find out in this way that an
// account was used there.
type Throttle struct {
	// Off turns all of this off, for services with a throttle in front of this program.
	Off bool

	// Account is for one e-mail, whether anybody has it or not, and begins anew when its password was right; an admin who
	// is asked for the password again has a count for each session. Default: 5, 1 s, 15 min. The delay that begins with a
	// second and doubles is that of OWASP's Authentication Cheat Sheet; attempts that go on for ever come to four an hour,
	// where NIST SP 800-63B allows 100 in a row.
	Account Pace

	// Address is for one IPv4 address or IPv6 network of 64 bits, which is what a subscriber has. Attempts whose password
	// was right do not count. Default: 100, 1 s, 1 min: an office or a provider's NAT has many people who mistype.
	Address Pace

	// Tenant is for sign-ins that name a tenant, and counts as Address does. An e-mail's own tenant is not counted, as
	// that would tell whose it is. Default: 200, 1 s, 5 s: it slows down attempts of one password with every e-mail.
	Tenant Pace

	// SignUp is for sign-ups from one address, also those that fail: each makes a database, or tells that an e-mail has an
	// account. Default: 20, 1 min, 1 h.
	SignUp Pace

	// SignUps is for all sign-ups together, from known addresses or not: nothing else bounds a client with many addresses,
	// and each sign-up makes a database. A flood makes honest sign-ups wait too, for MaxDelay at most; it delays no
	// sign-in. Default: 100, 1 s, 10 s, which is 360 an hour for ever. A negative Free: not counted.
	SignUps Pace

	// Factor is for codes of an admin's second factor, and begins anew when one was right. Six digits of which three
	// codes are good at once take 231,000 attempts for an even chance. Default: 5, 1 s, 15 min.
	Factor Pace

	// Mail is for mails to one e-mail that anybody can ask for: to reset a password, to verify a sign-up. They are counted
	// as SignUp and SignUps too, apart from sign-ups. Default: 3, 1 min, 1 h.
	Mail Pace
}

// Pace is how fast attempts may follow one another. A zero field has the default that [Throttle] names.
type Pace struct {
	// Free is how many attempts come without a delay; at least 1.
	Free int

	// Delay is how long the next one has to wait after these. It doubles with each further attempt.
	Delay time.Duration

	// MaxDelay is the longest delay. After a delay one attempt is forgotten in each MaxDelay, so that this is also how
	// often attempts may come for ever.
	MaxDelay time.Duration
}

func (t *Throttle) check() error {
	var errs []error
	for _, p := range []struct {
		name    string
		pace    *Pace
		initial Pace
	}{
		{"Account", &t.Account, Pace{Free: 5, Delay: time.Second, MaxDelay: 15 * time.Minute}},
		{"Address", &t.Address, Pace{Free: 100, Delay: time.Second, MaxDelay: time.Minute}},
		{"Tenant", &t.Tenant, Pace{Free: 200, Delay: time.Second, MaxDelay: 5 * time.Second}},
		{"SignUp", &t.SignUp, Pace{Free: 20, Delay: time.Minute, MaxDelay: time.Hour}},
		{"SignUps", &t.SignUps, Pace{Free: 100, Delay: time.Second, MaxDelay: 10 * time.Second}},
		{"Factor", &t.Factor, Pace{Free: 5, Delay: time.Second, MaxDelay: 15 * time.Minute}},
		{"Mail", &t.Mail, Pace{Free: 3, Delay: time.Minute, MaxDelay: time.Hour}},
	} {
		p.pace.Free = cmp.Or(p.pace.Free, p.initial.Free)
		p.pace.Delay = cmp.Or(p.pace.Delay, p.initial.Delay)
		p.pace.MaxDelay = cmp.Or(p.pace.MaxDelay, max(p.initial.MaxDelay, p.pace.Delay))
		if p.pace.Free < 0 && p.pace != &t.SignUps || p.pace.Delay < 0 {
			errs = append(errs, fmt.Errorf("accounts: Config.Throttle.%s: Free and Delay must not be negative", p.name))
		}
		if p.pace.MaxDelay < p.pace.Delay {
			errs = append(errs, fmt.Errorf("accounts: Config.Throttle.%s: MaxDelay must not be less than Delay", p.name))
		}
	}
	return errors.Join(errs...)
}

// forSignIn are the counts of a sign-in. They are the same for an unknown e-mail.
func (t *Throttle) forSignIn(s SignIn, email registry.Email) catalog.Attempt {
	var a catalog.Attempt
	address := network(s.Addr)
	if address != "" {
		a.Counts = append(a.Counts, count("sign-in from", address, t.Address))
	}
	if s.Tenant != "" {
		c := count("sign-in to", string(s.Tenant), t.Tenant)
		c.Spares = true
		a.Counts = append(a.Counts, c)
	}
	if email.IsZero() {
		return a
	}
	c := count("sign-in as", "", t.Account)
	c.Email, c.Spares, c.Resets = email, true, true
	a.Counts = append(a.Counts, c)
	if address != "" {
		a.Home = count("sign-in at home", address, t.Account)
		a.Home.Email = email
	}
	return a
}

// forPassword is the count of a session that asks its admin for the password: a thief of another session of the same
// admin's holds this one up by nothing.
func (t *Throttle) forPassword(id *authn.Identity) catalog.Attempt {
	c := count("password of", id.Subject+" in "+id.Session, t.Account)
	c.Resets = true
	return catalog.Attempt{Counts: []catalog.Count{c}}
}

// forFactor is the count of an admin's codes.
func (t *Throttle) forFactor(m registry.Membership) catalog.Attempt {
	c := count("code of", m.AdminID, t.Factor)
	c.Resets = true
	return catalog.Attempt{Counts: []catalog.Count{c}}
}

// forMail are the counts of a mail that anybody can ask for. They are the same for an unknown e-mail.
func (t *Throttle) forMail(addr netip.Addr, email registry.Email) catalog.Attempt {
	var a catalog.Attempt
	if address := network(addr); address != "" {
		a.Counts = append(a.Counts, count("mail for", address, t.SignUp))
	}
	if t.SignUps.Free >= 0 {
		a.Counts = append(a.Counts, count("mail", "", t.SignUps))
	}
	c := count("mail to", "", t.Mail)
	c.Email = email
	a.Counts = append(a.Counts, c)
	return a
}

func (t *Throttle) forSignUp(s SignUp) catalog.Attempt {
	var a catalog.Attempt
	if address := network(s.Addr); address != "" {
		a.Counts = append(a.Counts, count("sign-up from", address, t.SignUp))
	}
	if t.SignUps.Free >= 0 {
		a.Counts = append(a.Counts, count("sign-up", "", t.SignUps))
	}
	return a
}

func count(scope, name string, p Pace) catalog.Count {
	return catalog.Count{Subject: catalog.Subject{Scope: scope, Name: name}, Pace: catalog.Pace(p)}
}

// network is what one subscriber has of the address space; empty for no address.
func network(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// admit counts an attempt, or refuses it with a *ThrottledError. The admission is nil where nothing is counted.
func (a *Accounts) admit(ctx context.Context, attempt catalog.Attempt) (*catalog.Admission, error) {
	if a.cfg.Throttle.Off || len(attempt.Counts) == 0 {
		return nil, nil
	}
	admission, err := a.catalog.CountAttempt(ctx, attempt)
	if err != nil {
		return nil, err
	}
	if admission.Wait > 0 {
		a.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "attempt throttled", slog.Duration("wait", admission.Wait),
			slog.Any("counts", scopes(attempt)))
		return nil, &ThrottledError{after: admission.Wait}
	}
	return admission, nil
}

// scopes says what an attempt is counted by, and from where it comes, if that is known; never whose e-mail it is.
func scopes(attempt catalog.Attempt) []string {
	var names []string
	for _, c := range attempt.Counts {
		names = append(names, strings.TrimSpace(c.Scope+" "+c.Name))
	}
	return names
}

// settleTimeout bounds the update of an attempt's count after it, which goes on when its context ends.
const settleTimeout = 5 * time.Second

// succeeded and withdrawn are best effort: at worst, an attempt counts that should not.
func (a *Accounts) succeeded(ctx context.Context, adm *catalog.Admission) {
	a.settle(ctx, adm, a.catalog.AttemptSucceeded)
}

func (a *Accounts) withdrawn(ctx context.Context, adm *catalog.Admission) {
	a.settle(ctx, adm, a.catalog.WithdrawAttempt)
}

func (a *Accounts) settle(ctx context.Context, adm *catalog.Admission,
	how func(context.Context, *catalog.Admission) error,
) {
	if adm == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := how(ctx, adm); err != nil {
		a.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "attempt not settled", slog.String("error", err.Error()))
	}
}
