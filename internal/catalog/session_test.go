package catalog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/catalog"
	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

const grace = time.Minute

func (f *fixture) open(t testing.TB, tenant string) (catalog.Session, tenancy.Secret) {
	t.Helper()
	s, token, err := f.OpenSession(t.Context(), catalog.SessionRequest{
		TenantID: tenancy.ID(tenant),
		AdminID:  "admin-" + tenant, TTL: time.Hour,
	})
	must(t, err)
	return s, token
}

func (f *fixture) rotate(t testing.TB, token tenancy.Secret) tenancy.Secret {
	t.Helper()
	_, next, err := f.RotateSession(t.Context(), token, grace)
	must(t, err)
	return next
}

// endGrace makes the last rotation of every session older than the grace.
func (f *fixture) endGrace(t testing.TB) {
	t.Helper()
	f.exec(t, `UPDATE pgtenancy.sessions SET rotated_at = now() - interval '10 minutes'`)
}

func (f *fixture) wantInvalid(t testing.TB, what string, token tenancy.Secret) {
	t.Helper()
	s, next, err := f.RotateSession(t.Context(), token, grace)
	if err != catalog.ErrInvalidSession || s != (catalog.Session{}) || !next.IsZero() {
		t.Errorf("%s: %v, want ErrInvalidSession itself", what, err)
	}
}

func TestASessionRotates(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	opened, token := f.open(t, "acme")
	if opened.TenantID != "acme" || opened.AdminID != "admin-acme" || opened.ExpiresAt.Sub(opened.CreatedAt) != time.Hour {
		t.Errorf("session %+v", opened)
	}
	seen := map[tenancy.Secret]bool{token: true}
	for range 5 {
		s, next, err := f.RotateSession(t.Context(), token, grace)
		must(t, err)
		if seen[next] || s.ID != opened.ID || !s.ExpiresAt.Equal(opened.ExpiresAt) {
			t.Fatalf("a token came again, or the session is another: %+v", s)
		}
		seen[next] = true
		token = next
	}
}

func TestManyConcurrentUsesOfOneTokenGiveOneSuccessor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	rounds, families := pgtest.Size(3, 200), 1
	defer func() {
		pgtest.Figure(t, "S10", "%d refresh tokens, each used 64 times at once: at most %d successor", rounds, families)
	}()
	for range rounds {
		_, token := f.open(t, "acme")
		successors := make([]tenancy.Secret, 64)
		must(t, errors.Join(concurrently(len(successors), func(i int) (err error) {
			_, successors[i], err = f.RotateSession(t.Context(), token, grace)
			return err
		})...))
		different := map[tenancy.Secret]bool{}
		for _, s := range successors {
			different[s] = true
		}
		families = max(families, len(different))
		if len(different) != 1 || different[token] {
			t.Fatal("the successors differ")
		}
		live := f.rotate(t, successors[0])
		if _, _, err := f.RotateSession(t.Context(), token, grace); !errors.Is(err, catalog.ErrSessionReused) {
			t.Fatalf("the token once more: %v, want ErrSessionReused", err)
		}
		f.wantInvalid(t, "the live token after a reuse", live)
	}
}

func TestReuseAfterTheGraceRevokesAndTheRevocationCommits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	_, first := f.open(t, "acme")
	second := f.rotate(t, first)
	f.endGrace(t)
	_, _, err := f.RotateSession(t.Context(), first, grace)
	if !errors.Is(err, catalog.ErrSessionReused) || !errors.Is(err, catalog.ErrInvalidSession) {
		t.Errorf("reuse: %v, want ErrSessionReused, which is an ErrInvalidSession", err)
	}
	f.wantInvalid(t, "the live token after a reuse", second)
	f.wantInvalid(t, "the old token after a reuse", first)
}

func TestATokenBeforeTheLastRotationIsAReuseEvenInGrace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	_, first := f.open(t, "acme")
	f.rotate(t, f.rotate(t, first))
	if _, _, err := f.RotateSession(t.Context(), first, grace); !errors.Is(err, catalog.ErrSessionReused) {
		t.Errorf("grandparent: %v, want ErrSessionReused", err)
	}
}

func TestWithoutGraceTheParentIsAReuse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	for _, none := range []time.Duration{0, -time.Second} {
		_, first := f.open(t, "acme")
		f.rotate(t, first)
		if _, _, err := f.RotateSession(t.Context(), first, none); !errors.Is(err, catalog.ErrSessionReused) {
			t.Errorf("grace %v: %v, want ErrSessionReused", none, err)
		}
	}
}

func TestForgedAndMalformedTokensAreInvalidAndRevokeNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	s, first := f.open(t, "acme")
	_, foreign := f.open(t, "acme")
	live := f.rotate(t, first)
	f.endGrace(t)
	parts := strings.Split(live.Reveal(), ".")
	alien := strings.Split(foreign.Reveal(), ".")
	for what, token := range map[string]string{
		"empty": "", "no parts": "x", "two parts": parts[0] + "." + parts[1], "four parts": live.Reveal() + ".x",
		"older counter, mac of the live one": s.ID + ".1." + parts[2],
		"newer counter":                      s.ID + ".9." + parts[2],
		"counter with a zero":                s.ID + ".02." + parts[2],
		"counter with a sign":                s.ID + ".+2." + parts[2],
		"negative counter":                   s.ID + ".-2." + parts[2],
		"huge counter":                       s.ID + ".99999999999999999999." + parts[2],
		"mac of another session":             s.ID + ".2." + alien[2],
		"short mac":                          s.ID + ".2." + parts[2][:40],
		"no mac":                             s.ID + ".2.",
		"padded mac":                         live.Reveal() + "=",
		"mac with a newline":                 s.ID + ".2.\n" + parts[2],
		"upper-case id":                      strings.ToUpper(parts[0]) + ".2." + parts[2],
		"unknown id":                         strings.Repeat("a", 26) + ".2." + parts[2],
		"quote in the id":                    "'" + parts[0] + ".2." + parts[2],
		"nul in the id":                      parts[0] + "\x00.2." + parts[2],
		"very long":                          strings.Repeat("a", 1<<20) + ".2." + parts[2],
	} {
		f.wantInvalid(t, what, tenancy.NewSecret(token))
	}
	f.rotate(t, live)
}

func TestExpiredClosedAndSuspendedSessionsDoNotRotate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"expired", "closed", "suspended", "deleting"} {
		f.active(t, id)
	}
	_, expired := f.open(t, "expired")
	f.exec(t, `UPDATE pgtenancy.sessions SET expires_at = now() - interval '1 second'`)
	f.wantInvalid(t, "expired", expired)

	s, closed := f.open(t, "closed")
	must(t, f.CloseSession(t.Context(), s.ID))
	must(t, f.CloseSession(t.Context(), s.ID))
	f.wantInvalid(t, "closed", closed)

	_, suspended := f.open(t, "suspended")
	must(t, f.Suspend(t.Context(), "suspended"))
	f.wantInvalid(t, "suspended", suspended)
	must(t, f.Resume(t.Context(), "suspended"))
	f.rotate(t, suspended)

	_, deleting := f.open(t, "deleting")
	_, err := f.BeginDelete(t.Context(), "deleting", "o", time.Minute)
	must(t, err)
	f.wantInvalid(t, "deleting", deleting)
}

func TestCloseSessionsSparesOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	f.active(t, "other")
	spared, live := f.open(t, "acme")
	_, gone := f.open(t, "acme")
	_, others := f.open(t, "other")
	must(t, f.CloseSessions(t.Context(), "admin-acme", spared.ID))
	f.wantInvalid(t, "closed", gone)
	live = f.rotate(t, live)
	must(t, f.CloseSessions(t.Context(), "admin-acme", ""))
	f.wantInvalid(t, "all closed", live)
	f.rotate(t, others)
}

func TestOpenSessionIsForAdminsOfActiveTenants(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.reserve(t, "young")
	f.active(t, "acme")
	_, _, err := f.OpenSession(t.Context(), catalog.SessionRequest{
		TenantID: "young", AdminID: "admin-young",
		TTL: time.Hour,
	})
	if !errors.Is(err, tenancy.ErrProvisioning) {
		t.Errorf("provisioning tenant: %v, want tenancy.ErrProvisioning", err)
	}
	_, _, err = f.OpenSession(t.Context(), catalog.SessionRequest{
		TenantID: "acme", AdminID: "admin-young",
		TTL: time.Hour,
	})
	if !errors.Is(err, registry.ErrAdminNotFound) {
		t.Errorf("admin of another tenant: %v, want ErrAdminNotFound", err)
	}
}

// TestSessionThatWasMadeAnothersIsInvalid guards against a writer to the registry: a session of their own, with
// another tenant's ids in its row, gave that tenant's tokens.
func TestSessionThatWasMadeAnothersIsInvalid(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	f.active(t, "globex")
	s, token := f.open(t, "acme")
	for _, row := range [][2]string{{"globex", "admin-globex"}, {"acme", "admin-globex"}, {"globex", "admin-acme"}} {
		f.exec(t, `UPDATE pgtenancy.sessions SET tenant_id = $2, admin_id = $3 WHERE id = $1`, s.ID, row[0], row[1])
		f.wantInvalid(t, strings.Join(row[:], " "), token)
	}
	f.exec(t, `UPDATE pgtenancy.sessions SET tenant_id = 'acme', admin_id = 'admin-acme' WHERE id = $1`, s.ID)
	f.rotate(t, token)
}

func TestOldestOfTooManySessionsIsClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.active(t, "acme")
	f.active(t, "globex")
	_, foreign := f.open(t, "globex")
	_, oldest := f.open(t, "acme")
	_, second := f.open(t, "acme")
	for range catalog.MaxSessions - 1 {
		f.open(t, "acme")
	}
	f.wantInvalid(t, "the oldest of too many", oldest)
	f.rotate(t, second)
	f.rotate(t, foreign)
}
