package accounts

import (
	"context"
	"errors"
	"net/netip"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// RequestPasswordReset has a mail sent to the owner of an e-mail with a token to set a new password, good for 30
// minutes. It does the same and takes the same time for an e-mail that has no account, which gets no mail: Run finds
// out later which it is. addr is the client's, as in SignIn.
//
// It returns *[InputError] for what is no e-mail, [ErrThrottled] after too many requests for that e-mail or from that
// address (see Throttle.Mail), and authn.ErrBusy. ctx governs the whole of it.
func (a *Accounts) RequestPasswordReset(ctx context.Context, address string, addr netip.Addr) error {
	email, err := registry.ParseEmail(address)
	if err != nil {
		return &InputError{Fields: map[string]string{"email": "must be an e-mail address"}}
	}
	return a.request(ctx, MailReset, addr, email, mailData{})
}

// ResetPassword sets the password of the person whom the token was mailed to, at all of their tenants, and ends all of
// their sessions. They sign in with it then: a second factor is asked for as ever. ctx governs it until the registry
// has decided.
//
// It returns [ErrInvalidToken] for a token that is unknown, used or expired, *[InputError] for a password that is not
// allowed, authn.ErrBusy, and registry.ErrConflict while one of the person's places is being changed; the token is good
// still. After [ErrUnfinished] the password is decided on; Run brings it to the tenants that did not answer.
func (a *Accounts) ResetPassword(ctx context.Context, token, password string) error {
	leave, err := a.enter(a.signUps)
	if err != nil {
		return err
	}
	defer leave()
	t, _, email, err := a.mailed(ctx, catalog.TokenReset, token)
	if err != nil {
		return err
	}
	members, err := a.catalog.Members(ctx, email)
	if err != nil {
		return err
	}
	about := []string{email.Reveal()}
	known := false
	for _, m := range members {
		known = known || m.AdminID == t.AdminID
		tenant, err := a.catalog.TenantWithoutSecrets(ctx, m.TenantID)
		if err != nil && !errors.Is(err, tenancy.ErrNotFound) {
			return err
		}
		if err == nil {
			about = append(about, tenant.Organization.Name)
		}
	}
	if !known { // the e-mail is another admin's by now
		return ErrInvalidToken
	}
	if err := a.cfg.Hasher.Check(password, about...); err != nil {
		return passwordError(err)
	}
	hash, err := a.cfg.Hasher.Hash(ctx, password)
	if err != nil {
		return passwordError(err)
	}
	return a.resetAll(acting(ctx, t.AdminID, Client{}), tenancy.NewSecret(token), members, hash)
}

func (a *Accounts) resetAll(ctx context.Context, token tenancy.Secret, members []catalog.Member, hash string) error {
	changes := make([]*catalog.AdminChange, len(members))
	for i, m := range members {
		changes[i] = a.newChange(catalog.ChangePassword, m.Membership, changeData{PasswordHash: hash})
	}
	decide := func() error { return a.catalog.ResetPasswords(ctx, token, changes, hash, changeTTL) }
	err := a.step(ctx, stepDecide, decide)
	if errors.Is(err, registry.ErrConflict) && a.finishAbandoned(ctx, "") == nil { // it was left behind
		err = a.step(ctx, stepDecide, decide)
	}
	if err != nil {
		return err
	}
	return a.finishOthers(ctx, changes)
}

// RequestEmailChange has a mail sent to a new address with a token to make it the e-mail of id, at id's tenant, good
// for an hour. Whether the address belongs to somebody already shows only to its owner. It returns what CheckPassword
// does, *[InputError] for what is no e-mail, and [ErrThrottled]. ctx governs the whole of it.
func (a *Accounts) RequestEmailChange(ctx context.Context, id *authn.Identity, password, address string) error {
	email, err := registry.ParseEmail(address)
	if err != nil {
		return &InputError{Fields: map[string]string{"email": "must be an e-mail address"}}
	}
	if _, err := a.editor(); err != nil {
		return err
	}
	if _, err := a.verify(ctx, id, password); err != nil {
		return err
	}
	m := member(id)
	return a.request(ctx, MailNewEmail, netip.Addr{}, email, mailData{TenantID: m.TenantID, AdminID: m.AdminID})
}

// ChangeEmail makes the address that the token was mailed to an admin's e-mail, in both rows, and has the old address
// told. Sessions go on. It returns [ErrInvalidToken], registry.ErrEmailTaken, registry.ErrEmailBusy, or
// registry.ErrConflict while that admin is being changed; after [ErrUnfinished] the e-mail is decided on, and Run
// finishes it. ctx governs it until the registry has decided.
func (a *Accounts) ChangeEmail(ctx context.Context, token string) error {
	t, d, email, err := a.mailed(ctx, catalog.TokenEmail, token)
	if err != nil {
		return err
	}
	admin, err := a.cfg.Registry.Admin(ctx, t.AdminID)
	if errors.Is(err, registry.ErrAdminNotFound) {
		return ErrInvalidToken
	}
	if err != nil {
		return err
	}
	ctx = acting(ctx, admin.ID, Client{})
	m := registry.Membership{TenantID: d.TenantID, AdminID: admin.ID}
	c := a.newChange(catalog.ChangeEmail, m, changeData{Email: email.Reveal()})
	old := encode(mailData{Email: admin.Email.Reveal()})
	err = a.change(ctx, c, func(ctx context.Context) error {
		return a.catalog.SetEmail(ctx, tenancy.NewSecret(token), c, email, changeTTL, string(MailEmailChanged), old)
	})
	a.wakeUp()
	return err
}
