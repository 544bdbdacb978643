package web

import (
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/examples/server/api"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// formPage is a page with one form.
type formPage struct {
	Form     form
	SignedIn bool
}

func signUpForm(key string) form {
	return form{Action: "/signup", Submit: "Create your church", Key: key, Fields: []field{
		{Name: "churchName", Label: "Name of the church", Autocomplete: "organization", Required: true},
		{Name: "firstName", Label: "Your first name", Autocomplete: "given-name", Required: true},
		{Name: "lastName", Label: "Your last name", Autocomplete: "family-name", Required: true},
		{Name: "email", Label: "E-mail", Type: "email", Autocomplete: "email", Required: true},
		{
			Name: "password", Label: "Password", Type: "password", Autocomplete: "new-password", Required: true,
			Hint: "At least 8 characters.",
		},
	}}
}

func signInForm() form {
	return form{Action: "/signin", Submit: "Sign in", Fields: []field{
		{Name: "email", Label: "E-mail", Type: "email", Autocomplete: "username", Required: true},
		{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password", Required: true},
	}}
}

func (s *site) landing(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "landing", notice{SignedIn: cookie(r, refreshCookie) != ""})
}

func (s *site) signUpForm(w http.ResponseWriter, r *http.Request) {
	if _, church := middleware.Addressed(r.Context()); church { // this host has its church
		s.missing(w, r)
		return
	}
	s.show(w, r, http.StatusOK, "signup", formPage{Form: signUpForm(rand.Text())})
}

func (s *site) signUp(w http.ResponseWriter, r *http.Request) {
	if _, church := middleware.Addressed(r.Context()); church {
		s.missing(w, r)
		return
	}
	session, err := s.cfg.Accounts.SignUp(r.Context(), accounts.SignUp{
		Email: r.PostFormValue("email"), Password: r.PostFormValue("password"),
		FirstName: r.PostFormValue("firstName"), LastName: r.PostFormValue("lastName"),
		Organization: r.PostFormValue("churchName"), IdempotencyKey: r.PostFormValue("key"),
		Addr: s.cfg.Addr(r), UserAgent: r.UserAgent(),
	})
	if err == nil {
		s.begin(w, r, session)
		return
	}
	wrong, status := api.Fields(err), http.StatusUnprocessableEntity
	form := signUpForm(rand.Text()) // the typed values will change, and a key is for one content
	switch {
	case wrong != nil:
	case errors.Is(err, registry.ErrEmailBusy):
		w.Header().Set("Retry-After", "2")
		form.Error = "A sign-up with this e-mail address is being made, or undone. Please send the form again in a moment."
		status = http.StatusServiceUnavailable
	case errors.Is(err, registry.ErrEmailTaken):
		wrong, status = map[string]string{"email": "has an account already"}, http.StatusConflict
	case errors.Is(err, registry.ErrKeyReused):
		form.Error, status = "This form was sent before with other values. Please send it again.", http.StatusConflict
	case errors.Is(err, provision.ErrFailedBefore):
		form.Error, status = "This sign-up has failed. Please send the form again.", http.StatusConflict
	default:
		s.refuse(w, r, err)
		return
	}
	s.show(w, r, status, "signup", formPage{Form: form.fill(r, wrong)})
}

func (s *site) signInForm(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "signin", formPage{Form: signInForm()})
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	tenant, _ := middleware.Addressed(r.Context())
	session, err := s.cfg.Accounts.SignIn(r.Context(), accounts.SignIn{
		Email: r.PostFormValue("email"), Password: r.PostFormValue("password"), Tenant: tenant, Addr: s.cfg.Addr(r),
		UserAgent: r.UserAgent(),
	})
	switch {
	case err == nil:
		s.begin(w, r, session)
	case errors.Is(err, accounts.ErrBadCredentials):
		form := signInForm().fill(r, nil)
		form.Error = "Wrong e-mail or password."
		s.show(w, r, http.StatusUnauthorized, "signin", formPage{Form: form})
	default:
		s.refuse(w, r, err)
	}
}

// begin puts a new session in place of the browser's old one, which ends.
func (s *site) begin(w http.ResponseWriter, r *http.Request, session *accounts.Session) {
	if id, err := s.identity(r); err == nil {
		if err := s.cfg.Accounts.SignOut(r.Context(), id); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	setCookies(w, session)
	http.Redirect(w, r, "/church", http.StatusSeeOther)
}

// signOut ends the session, also when its access token has expired, and forgets the cookies in any case.
func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	clearCookies(w)
	if id, err := s.identity(r); err == nil {
		if err := s.cfg.Accounts.SignOut(r.Context(), id); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// identity is whose session the cookies hold, if the request addresses their church or none.
func (s *site) identity(r *http.Request) (*authn.Identity, error) {
	id, err := s.cfg.Verifier.Verify(r.Context(), cookie(r, accessCookie))
	if err != nil {
		session, err := s.cfg.Accounts.Refresh(r.Context(), cookie(r, refreshCookie))
		if err != nil {
			return nil, err
		}
		if id, err = s.cfg.Verifier.Verify(r.Context(), session.AccessToken.Reveal()); err != nil {
			return nil, err
		}
	}
	if !addressed(r, tenancy.ID(id.Tenant)) {
		return nil, middleware.ErrTenantMismatch
	}
	return id, nil
}
