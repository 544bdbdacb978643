package api

import (
	"errors"
	"net/http"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/examples/server/church"
	"github.com/pgtenancy/pgtenancy/middleware"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// register signs a church up, but not at the host of an existing one.
func (a *api) register(w http.ResponseWriter, r *http.Request) error {
	if _, addressed := middleware.Addressed(r.Context()); addressed {
		return errNoRoute
	}
	var in struct {
		Email      string `json:"email"`
		Password   string `json:"password"`
		FirstName  string `json:"firstName"`
		LastName   string `json:"lastName"`
		ChurchName string `json:"churchName"`
	}
	if err := decodeUpTo(maxCredentials, w, r, &in); err != nil {
		return err
	}
	session, err := a.cfg.Accounts.SignUp(r.Context(), accounts.SignUp{
		Email: in.Email, Password: in.Password,
		FirstName: in.FirstName, LastName: in.LastName, Organization: in.ChurchName,
		IdempotencyKey: r.Header.Get("Idempotency-Key"), Addr: a.cfg.Addr(r), UserAgent: r.UserAgent(),
		Progress: func(step string) {
			if a.cfg.Progress != nil {
				a.cfg.Progress(r, step)
			}
		},
	})
	if err != nil {
		return err
	}
	return encode(w, r, http.StatusCreated, newSession(session))
}

func (a *api) login(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := decodeUpTo(maxCredentials, w, r, &in); err != nil {
		return err
	}
	tenant, _ := middleware.Addressed(r.Context())
	session, err := a.cfg.Accounts.SignIn(r.Context(), accounts.SignIn{
		Email: in.Email, Password: in.Password, Tenant: tenant, Addr: a.cfg.Addr(r),
		UserAgent: r.UserAgent(),
	})
	if err != nil {
		return err
	}
	return encode(w, r, http.StatusOK, newSession(session))
}

func (a *api) refresh(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		RefreshToken string `json:"refreshToken"`
	}
	if err := decodeUpTo(maxCredentials, w, r, &in); err != nil {
		return err
	}
	session, err := a.cfg.Accounts.Refresh(r.Context(), in.RefreshToken)
	if err != nil {
		return err
	}
	if tenant, addressed := middleware.Addressed(r.Context()); addressed && tenant != session.Tenant.ID {
		return accounts.ErrInvalidSession
	}
	return encode(w, r, http.StatusOK, newSession(session))
}

func (a *api) logout(w http.ResponseWriter, r *http.Request) error {
	id, ok := authn.FromContext(r.Context())
	if !ok {
		return authn.ErrTokenMissing
	}
	if err := a.cfg.Accounts.SignOut(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) changePassword(w http.ResponseWriter, r *http.Request) error {
	id, ok := authn.FromContext(r.Context())
	if !ok {
		return authn.ErrTokenMissing
	}
	var in struct {
		Current string `json:"currentPassword"`
		New     string `json:"newPassword"`
	}
	if err := decodeUpTo(maxCredentials, w, r, &in); err != nil {
		return err
	}
	err := a.cfg.Accounts.ChangePassword(r.Context(), id, in.Current, in.New)
	if text, ok := Fields(err)["password"]; ok {
		return wrongField("newPassword", text)
	}
	if errors.Is(err, accounts.ErrBadCredentials) {
		return wrongField("currentPassword", "is not your password")
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func wrongField(name, text string) error {
	return &church.InputError{Fields: map[string]string{name: text}}
}

func (a *api) me(w http.ResponseWriter, r *http.Request) error {
	id, ok := authn.FromContext(r.Context())
	lease, leased := tenancy.FromContext(r.Context())
	if !ok || !leased {
		return authn.ErrTokenMissing
	}
	profile, err := a.cfg.Profiles.Find(r.Context(), lease.Pool(), id.Subject)
	if err != nil {
		return err
	}
	t, err := a.cfg.Registry.Tenant(r.Context(), lease.Tenant().ID)
	if err != nil {
		return err
	}
	return encode(w, r, http.StatusOK, map[string]any{
		"admin": newAdmin(profile), "church": newChurch(t.Tenant, t.Organization),
	})
}
