package tenancy_test

import (
	"strings"
	"testing"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

func FuzzParseOwnerTag(f *testing.F) {
	f.Add(`{"pgtenancy":1,"tenant":"acme","epoch":3}`)
	f.Add(`{"pgtenancy":1,"tenant":"acme","epoch":3,"fenced":true}`)
	f.Add(`{"pgtenancy":2,"tenant":"acme"}`)
	f.Add(`{"pgtenancy":1,"tenant":"It's"}`)
	f.Add(`{"pgtenancy":1,"tenant":"acme"} {}`)
	f.Add("our church")
	f.Add("")
	f.Fuzz(func(t *testing.T, comment string) {
		mark, ok := tenancy.ParseOwnerTag(comment)
		if !ok {
			return
		}
		text := mark.String()
		if strings.ContainsAny(text, `'\`) {
			t.Fatalf("not safe in a literal: %s", text)
		}
		if again, ok := tenancy.ParseOwnerTag(text); !ok || again != mark {
			t.Errorf("%s does not come back", text)
		}
	})
}
