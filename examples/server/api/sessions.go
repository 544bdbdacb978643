package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
)

// sessionView is a session as its admin sees it.
type sessionView struct {
	ID         string    `json:"id"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
	Address    string    `json:"address"`   // empty: unknown
	UserAgent  string    `json:"userAgent"` // empty: unknown
	Current    bool      `json:"current"`
}

func (a *api) listSessions(w http.ResponseWriter, r *http.Request) error {
	id, ok := authn.FromContext(r.Context())
	if !ok {
		return authn.ErrTokenMissing
	}
	found, err := a.cfg.Accounts.Sessions(r.Context(), id)
	if err != nil {
		return err
	}
	views := make([]sessionView, len(found))
	for i, s := range found {
		views[i] = sessionView{
			ID: s.ID, CreatedAt: s.CreatedAt, LastUsedAt: s.LastUsedAt, ExpiresAt: s.ExpiresAt,
			UserAgent: s.UserAgent, Current: s.Current,
		}
		if s.Addr.IsValid() {
			views[i].Address = s.Addr.String()
		}
	}
	return encode(w, r, http.StatusOK, map[string]any{"sessions": views})
}

// endSession does not know of a session that is another's.
func (a *api) endSession(w http.ResponseWriter, r *http.Request) error {
	id, ok := authn.FromContext(r.Context())
	if !ok {
		return authn.ErrTokenMissing
	}
	found, err := a.cfg.Accounts.Sessions(r.Context(), id)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(found, func(s accounts.ActiveSession) bool { return s.ID == r.PathValue("id") }) {
		return errNoRoute
	}
	return a.endSessions(func(ctx context.Context, id *authn.Identity) error {
		return a.cfg.Accounts.SignOutSession(ctx, id, r.PathValue("id"))
	})(w, r)
}

// endSessions makes a handler that ends sessions, after it has asked for the password.
func (a *api) endSessions(end func(context.Context, *authn.Identity) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, ok := authn.FromContext(r.Context())
		if !ok {
			return authn.ErrTokenMissing
		}
		var in struct {
			Password string `json:"password"`
		}
		if err := decode(w, r, &in); err != nil {
			return err
		}
		err := a.cfg.Accounts.CheckPassword(r.Context(), id, in.Password)
		if errors.Is(err, accounts.ErrBadCredentials) {
			return wrongField("password", "is not your password")
		}
		if err != nil {
			return err
		}
		if err := end(r.Context(), id); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}
