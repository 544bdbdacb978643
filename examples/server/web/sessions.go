package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/authn/accounts"
)

// accountPage shows an admin where they are signed in.
type accountPage struct {
	SignedIn bool
	Done     bool
	Error    string
	Sessions []accounts.ActiveSession
}

// Minute returns t to the minute, for people.
func (accountPage) Minute(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

func (s *site) account(w http.ResponseWriter, r *http.Request) {
	s.showAccount(w, r, http.StatusOK, accountPage{Done: r.URL.Query().Has("done")})
}

func (s *site) showAccount(w http.ResponseWriter, r *http.Request, status int, page accountPage) {
	id, ok := authn.FromContext(r.Context())
	if !ok {
		s.refuse(w, r, authn.ErrTokenMissing)
		return
	}
	var err error
	if page.Sessions, err = s.cfg.Accounts.Sessions(r.Context(), id); err != nil {
		s.refuse(w, r, err)
		return
	}
	page.SignedIn = true
	s.show(w, r, status, "sessions", page)
}

// endSessions ends one session, all but this or all, and asks for the password first.
func (s *site) endSessions(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	id, ok := authn.FromContext(ctx)
	if !ok {
		s.refuse(w, r, authn.ErrTokenMissing)
		return
	}
	err := s.cfg.Accounts.CheckPassword(ctx, id, r.PostFormValue("password"))
	if errors.Is(err, accounts.ErrBadCredentials) {
		s.showAccount(w, r, http.StatusUnprocessableEntity, accountPage{Error: "That is not your password."})
		return
	}
	if err == nil {
		switch which := r.PostFormValue("which"); which {
		case "others":
			err = s.cfg.Accounts.SignOutElsewhere(ctx, id)
		case "all":
			err = s.cfg.Accounts.SignOutEverywhere(ctx, id)
		default:
			err = s.cfg.Accounts.SignOutSession(ctx, id, which)
		}
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, "/account?done", http.StatusSeeOther) // to the sign-in, if this session was among them
}
