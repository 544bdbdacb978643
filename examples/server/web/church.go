package web

import (
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/authn"
	"github.com/pgtenancy/pgtenancy/examples/server/api"
	"github.com/pgtenancy/pgtenancy/examples/server/church"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const pageSize = 10

// home is a church's page.
type home struct {
	SignedIn     bool
	Church       registry.Organization
	FirstName    string
	Database     string // as the database itself says it
	Added        string
	Members      []church.Member
	MoreMembers  string
	Messages     []church.Message
	MoreMessages string
	Member       form
	Message      form
}

func memberForm() form {
	return form{Action: "/church/members#members", Submit: "Add member", Fields: []field{
		{Name: "firstName", Label: "First name", Autocomplete: "off", Required: true},
		{Name: "lastName", Label: "Last name", Autocomplete: "off", Required: true},
		{Name: "email", Label: "E-mail", Type: "email", Autocomplete: "off"},
		{Name: "phone", Label: "Phone", Type: "tel", Autocomplete: "off"},
	}}
}

func messageForm() form {
	return form{Action: "/church/messages#messages", Submit: "Add message", Fields: []field{
		{Name: "subject", Label: "Subject", Autocomplete: "off", Required: true},
		{Name: "body", Label: "Text", Type: "textarea", Required: true},
		{Name: "send", Label: "When", Choices: []choice{{"", "Keep as a draft"}, {"now", "Send to all members by e-mail"}}},
	}}
}

func (s *site) church(w http.ResponseWriter, r *http.Request) {
	s.showChurch(w, r, http.StatusOK, memberForm(), messageForm())
}

func (s *site) addMember(w http.ResponseWriter, r *http.Request) {
	lease, ok := tenancy.FromContext(r.Context())
	if !ok {
		s.refuse(w, r, authn.ErrTokenMissing)
		return
	}
	email, phone := r.PostFormValue("email"), r.PostFormValue("phone")
	_, err := church.NewMembers().Create(r.Context(), lease.Pool(), church.MemberInput{
		FirstName: r.PostFormValue("firstName"), LastName: r.PostFormValue("lastName"), Email: &email, Phone: &phone,
	})
	if wrong := api.Fields(err); wrong != nil {
		s.showChurch(w, r, http.StatusUnprocessableEntity, memberForm().fill(r, wrong), messageForm())
		return
	}
	s.added(w, r, "member", err)
}

func (s *site) addMessage(w http.ResponseWriter, r *http.Request) {
	lease, ok := tenancy.FromContext(r.Context())
	if !ok {
		s.refuse(w, r, authn.ErrTokenMissing)
		return
	}
	_, err := church.NewMessages().Create(r.Context(), lease.Pool(), church.MessageInput{
		Subject: r.PostFormValue("subject"), Body: r.PostFormValue("body"), Send: r.PostFormValue("send") == "now",
	})
	if wrong := api.Fields(err); wrong != nil {
		s.showChurch(w, r, http.StatusUnprocessableEntity, memberForm(), messageForm().fill(r, wrong))
		return
	}
	s.added(w, r, "message", err)
}

// added goes back to the page, so that to reload it adds nothing twice.
func (s *site) added(w http.ResponseWriter, r *http.Request, what string, err error) {
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, "/church?added="+what+"#"+what+"s", http.StatusSeeOther)
}

func (s *site) showChurch(w http.ResponseWriter, r *http.Request, status int, member, message form) {
	page := home{SignedIn: true, Member: member, Message: message}
	switch r.URL.Query().Get("added") {
	case "member":
		page.Added = "The member was added."
	case "message":
		page.Added = "The message was added."
	}
	if err := s.readChurch(r, &page); err != nil {
		if api.Fields(err) != nil { // a cursor that someone made up
			s.missing(w, r)
			return
		}
		s.refuse(w, r, err)
		return
	}
	s.show(w, r, status, "church", page)
}

// readChurch reads what the page shows. All but the church's name comes from the church's own database.
func (s *site) readChurch(r *http.Request, page *home) error {
	ctx := r.Context()
	lease, ok := tenancy.FromContext(ctx)
	id, signedIn := authn.FromContext(ctx)
	if !ok || !signedIn {
		return authn.ErrTokenMissing
	}
	tenant, err := s.cfg.Registry.Tenant(ctx, lease.Tenant().ID)
	if err != nil {
		return err
	}
	page.Church = tenant.Organization
	profile, err := s.cfg.Profiles.Find(ctx, lease.Pool(), id.Subject)
	if err != nil {
		return err
	}
	page.FirstName = profile.FirstName
	if page.Database, err = church.Database(ctx, lease.Pool()); err != nil {
		return err
	}
	if err := readMembers(r, lease.Pool(), page); err != nil {
		return err
	}
	return readMessages(r, lease.Pool(), page)
}

func readMembers(r *http.Request, db *pgxpool.Pool, page *home) error {
	after, err := church.ParseCursor(r.URL.Query().Get("members"))
	if err != nil {
		return err
	}
	page.Members, err = church.NewMembers().List(r.Context(), db, after, pageSize+1)
	if len(page.Members) > pageSize {
		page.Members = page.Members[:pageSize]
		page.MoreMembers = page.Members[pageSize-1].Cursor().String()
	}
	return err
}

func readMessages(r *http.Request, db *pgxpool.Pool, page *home) error {
	after, err := church.ParseCursor(r.URL.Query().Get("messages"))
	if err != nil {
		return err
	}
	page.Messages, err = church.NewMessages().List(r.Context(), db, after, pageSize+1)
	if len(page.Messages) > pageSize {
		page.Messages = page.Messages[:pageSize]
		page.MoreMessages = page.Messages[pageSize-1].Cursor().String()
	}
	return err
}

// TrialEnds returns the day on which the trial ends, for people; empty if there is none.
func (h home) TrialEnds() string {
	if h.Church.TrialEndsAt.IsZero() {
		return ""
	}
	return h.Church.TrialEndsAt.UTC().Format("2 January 2006")
}

// Day returns t as a day, for people.
func (home) Day(t time.Time) string { return t.UTC().Format("2 Jan 2006") }
