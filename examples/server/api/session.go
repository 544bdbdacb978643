package api

import (
	"time"

	"github.com/pgtenancy/pgtenancy/authn/accounts"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// session is the answer to a sign-up, a sign-in and a refresh.
type session struct {
	AccessToken  string     `json:"accessToken"`
	RefreshToken string     `json:"refreshToken"`
	ExpiresIn    int64      `json:"expiresIn"` // seconds
	Admin        admin      `json:"admin"`
	Church       churchView `json:"church"`
}

type admin struct {
	ID        string `json:"id"`
	Email     string `json:"email"`
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	Role      string `json:"role"`
}

type churchView struct {
	ID          tenancy.ID    `json:"id"`
	Name        string        `json:"name"`
	Status      tenancy.State `json:"status"`
	TrialEndsAt *time.Time    `json:"trialEndsAt"`
}

func newSession(s *accounts.Session) session {
	return session{
		AccessToken:  s.AccessToken.Reveal(),
		RefreshToken: s.RefreshToken.Reveal(),
		ExpiresIn:    int64(s.ExpiresIn / time.Second),
		Admin:        newAdmin(s.Profile),
		Church:       newChurch(s.Tenant, s.Organization),
	}
}

func newAdmin(p accounts.Profile) admin {
	return admin{ID: p.ID, Email: p.Email, FirstName: p.FirstName, LastName: p.LastName, Role: p.Role}
}

func newChurch(t tenancy.Tenant, o registry.Organization) churchView {
	c := churchView{ID: t.ID, Name: o.Name, Status: t.State}
	if !o.TrialEndsAt.IsZero() {
		c.TrialEndsAt = &o.TrialEndsAt
	}
	return c
}
