package scram_test

import (
	"encoding/base64"
	"errors"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/internal/scram"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The example of RFC 7677, section 3: user "user", password "pencil". StoredKey and ServerKey are computed from it.
func TestVerifierOfTheRFC(t *testing.T) {
	t.Parallel()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	got, err := scram.VerifierUnder("pencil", salt, 4096)
	want := "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" +
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestServerAcceptsThePasswordOfAVerifier(t *testing.T) {
	t.Parallel()
	const password = `pass 'word"\$~`
	v, err := scram.Verifier(password)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.ConnectConfig(t.Context(), pgtest.Admin(t))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	if _, err := admin.Exec(t.Context(), "CREATE ROLE scram_test LOGIN PASSWORD '"+v+"'"); err != nil {
		t.Fatal(err)
	}
	var stored string
	if err := admin.QueryRow(t.Context(), "SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_test'").
		Scan(&stored); err != nil || stored != v {
		t.Errorf("stored %q, %v", stored, err)
	}
	for _, attempt := range []string{password, "wrong"} {
		cfg := pgtest.Admin(t)
		cfg.User, cfg.Password = "scram_test", attempt
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if (err == nil) != (attempt == password) {
			t.Errorf("log-in with %q: %v", attempt, err)
		}
		if err == nil {
			_ = conn.Close(t.Context())
		}
	}
	if _, err := admin.Exec(t.Context(), "DROP ROLE scram_test"); err != nil {
		t.Error(err)
	}
}

func TestVerifierRefusesWhatNeedsSASLprep(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "pässword", "tab\t", "nul\x00"} {
		if _, err := scram.Verifier(password); !errors.Is(err, scram.ErrPassword) {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func FuzzVerifier(f *testing.F) {
	literal := regexp.MustCompile(`^SCRAM-SHA-256\$4096:[A-Za-z0-9+/=]{24}\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}$`)
	f.Add("pencil")
	f.Add("it's")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, password string) {
		v, err := scram.Verifier(password)
		if (err == nil) != (v != "") {
			t.Fatalf("%q, %v", v, err)
		}
		if err == nil && !literal.MatchString(v) {
			t.Errorf("%q is not safe in a literal", v)
		}
	})
}
