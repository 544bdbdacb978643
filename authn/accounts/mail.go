package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Mailer sends e-mails. Run calls it, in one goroutine at a time in each process.
type Mailer interface {
	// Mail sends m, or hands it to what will. ctx ends after 30 s. After an error m is made and sent again, later and
	// later, up to eight times. A mail may be sent twice.
	Mail(ctx context.Context, m Message) error
}

// MessageKind says what a mail is about.
type MessageKind string

// The kinds of mails.
const (
	// MailReset has the token for ResetPassword.
	MailReset MessageKind = "reset"

	// MailNewEmail goes to a new address, and has the token for ChangeEmail.
	MailNewEmail MessageKind = "new-email"

	// MailEmailChanged tells the old address that it was replaced. It has no token.
	MailEmailChanged MessageKind = "email-changed"

	// MailSignUp has the token for CompleteSignUp.
	MailSignUp MessageKind = "sign-up"
)

// Message is a mail to be written and sent: the host has the words and the link. It prints its kind only.
type Message struct {
	Kind         MessageKind
	To           registry.Email
	Token        tenancy.Secret // to be put in a link, in its fragment rather than its query; good once
	ExpiresAt    time.Time      // of the token
	FirstName    string         // MailSignUp: as typed into the form
	Organization string         // MailSignUp: as typed into the form
	Known        bool           // MailSignUp: the e-mail has an account already
}

// Format implements [fmt.Formatter].
func (m Message) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "mail (%s)", string(m.Kind)) }

// LogValue implements [slog.LogValuer].
func (m Message) LogValue() slog.Value { return slog.StringValue(string(m.Kind)) }

const (
	resetTTL  = 30 * time.Minute
	emailTTL  = time.Hour
	signUpTTL = 24 * time.Hour

	mailTimeout  = 30 * time.Second
	mailTTL      = time.Minute // before another attempt, and as much longer for each one more
	mailAttempts = 8
	mailBatch    = 16
)

// mailData is what is kept of a mail, and then of its token, sealed.
type mailData struct {
	Email        string     `json:"email"`
	TenantID     tenancy.ID `json:"tenantId,omitempty"`
	AdminID      string     `json:"adminId,omitempty"`
	FirstName    string     `json:"firstName,omitempty"`
	LastName     string     `json:"lastName,omitempty"`
	Organization string     `json:"organization,omitempty"`
}

func encode(d mailData) []byte {
	data, _ := json.Marshal(d) // strings always marshal
	return data
}

var errNoMailer = fmt.Errorf("accounts: Config.Mailer: not set: %w", errors.ErrUnsupported)

// request counts a request for a mail, and writes it: for any e-mail the same, with one statement each.
func (a *Accounts) request(ctx context.Context, kind MessageKind, addr netip.Addr, email registry.Email,
	d mailData,
) error {
	if a.cfg.Mailer == nil {
		return errNoMailer
	}
	leave, err := a.mails.enter()
	if err != nil {
		return err
	}
	defer leave()
	if _, err := a.admit(ctx, a.cfg.Throttle.forMail(addr, email)); err != nil {
		return err
	}
	d.Email = email.Reveal()
	if err := a.catalog.PutMail(ctx, string(kind), encode(d)); err != nil {
		return err
	}
	a.wakeUp()
	return nil
}

// sendMails sends what is to be sent now.
func (a *Accounts) sendMails(ctx context.Context) error {
	if a.cfg.Mailer == nil {
		return nil
	}
	var errs []error
	for ctx.Err() == nil {
		mails, err := a.catalog.ClaimMails(ctx, mailTTL, mailAttempts, mailBatch)
		errs = append(errs, err)
		for _, m := range mails {
			errs = append(errs, a.send(ctx, m))
		}
		if len(mails) < mailBatch {
			break
		}
	}
	return errors.Join(errs...)
}

// send makes the token and the message, and mails it. It sends nothing if the message has no recipient.
func (a *Accounts) send(ctx context.Context, m catalog.Mail) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	var d mailData
	if err := json.Unmarshal(m.Data, &d); err != nil {
		return errors.Join(fmt.Errorf("accounts: mail %q: unreadable", m.ID), a.catalog.EndMail(ctx, m.ID))
	}
	msg, err := a.compose(ctx, MessageKind(m.Kind), d)
	if err != nil {
		return err
	}
	if msg != nil {
		if err := a.cfg.Mailer.Mail(ctx, *msg); err != nil {
			return fmt.Errorf("accounts: mail %q (%s): attempt %d failed", m.ID, m.Kind, m.Attempt) // err may quote the address
		}
	}
	return a.catalog.EndMail(ctx, m.ID)
}

// compose returns nil for a mail that is not to be sent.
func (a *Accounts) compose(ctx context.Context, kind MessageKind, d mailData) (*Message, error) {
	to, err := registry.ParseEmail(d.Email)
	if err != nil {
		return nil, err
	}
	members, err := a.catalog.Members(ctx, to)
	if err != nil {
		return nil, err
	}
	msg := &Message{
		Kind: kind, To: to, FirstName: d.FirstName, Organization: d.Organization,
		Known: kind == MailSignUp && len(members) > 0,
	}
	var t *catalog.Token
	ttl := resetTTL
	switch kind {
	case MailReset:
		if len(members) == 0 {
			return nil, nil
		}
		t = &catalog.Token{Kind: catalog.TokenReset, AdminID: members[0].AdminID}
	case MailNewEmail:
		if _, err := a.cfg.Registry.Admin(ctx, d.AdminID); errors.Is(err, registry.ErrAdminNotFound) {
			return nil, nil
		}
		t, ttl = &catalog.Token{Kind: catalog.TokenEmail, AdminID: d.AdminID}, emailTTL
	case MailSignUp:
		t, ttl = &catalog.Token{Kind: catalog.TokenSignUp}, signUpTTL
	default:
		return msg, nil
	}
	t.Data = encode(d)
	if msg.Token, err = a.catalog.PutToken(ctx, t, ttl); err != nil {
		return nil, err
	}
	msg.ExpiresAt = t.ExpiresAt
	return msg, nil
}

// mailed returns what a token from a mail stands for, and the address that it was sent to.
func (a *Accounts) mailed(ctx context.Context, kind catalog.TokenKind, token string) (
	catalog.Token, mailData, registry.Email, error,
) {
	var d mailData
	t, err := a.catalog.Token(ctx, kind, tenancy.NewSecret(token))
	if err != nil {
		return t, d, registry.Email{}, err
	}
	if err := json.Unmarshal(t.Data, &d); err != nil {
		return t, d, registry.Email{}, fmt.Errorf("accounts: token %q: unreadable", t.ID)
	}
	email, err := registry.ParseEmail(d.Email)
	return t, d, email, err
}
