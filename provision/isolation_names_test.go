package provision_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nrednav/cuid2"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// Two tenants never have one name, no tenant has a name that all share, and PostgreSQL keeps each as it is.
func TestNamesAreOneForEachTenantAndKeptWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	count, trips := pgtest.Size(10_000, 10_000_000), pgtest.Size(3, 500)
	made := madeIDs(t, count)
	legal := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	wrong, longest := 0, 0
	for i, id := range made {
		name := provision.TenantName("a23456789012345678901", idOf(id)) // the longest prefix there is
		longest = max(longest, len(name))
		if !idOf(id).Valid() || len(name) > 63 || i%100 == 0 && !legal.MatchString(name) {
			wrong++
		}
	}
	slices.SortFunc(made, func(a, b madeID) int { return bytes.Compare(a[:], b[:]) })
	twice := count - len(slices.Compact(made))

	shared := provision.SharedNames(f.prefix, f.schema.Hash())
	rnd := rand.New(rand.NewPCG(13, 13))
	conn, err := pgx.ConnectConfig(t.Context(), f.admin)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	kept := 0
	for i := range trips {
		id := brought(rnd, 63-len(f.prefix), i)
		name := provision.TenantName(f.prefix, id)
		if slices.Contains(shared, name) || !id.Valid() {
			t.Errorf("id %q", id)
		}
		_, err := conn.Exec(t.Context(), "CREATE DATABASE "+quoted(name)+" TEMPLATE template0")
		must(t, err)
		var there bool
		must(t, conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname::text = $1)",
			name).Scan(&there))
		if there {
			kept++
		}
		_, err = conn.Exec(t.Context(), "DROP DATABASE IF EXISTS "+quoted(name))
		must(t, err)
	}
	if wrong+twice > 0 || kept != trips {
		t.Errorf("%d ids twice, %d not legal, want none; %d of %d names kept", twice, wrong, kept, trips)
	}
	pgtest.Figure(t, "S13", "%d ids: %d twice, %d not legal, names of %d bytes at most; %d of %d databases have the "+
		"name that was asked for",
		count, twice, wrong, longest, kept, trips)
}

// madeID is an id of Create's own making, in little memory.
type madeID [24]byte

func idOf(id madeID) tenancy.ID { return tenancy.ID(bytes.TrimRight(id[:], "\x00")) }

func madeIDs(t *testing.T, n int) []madeID {
	t.Helper()
	ids := make([]madeID, n)
	var wg sync.WaitGroup
	const workers = 2
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				copy(ids[i][:], cuid2.Generate())
			}
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	return ids
}

// brought is an id that a caller brings, of the characters that there are and often as long as may be.
func brought(rnd *rand.Rand, most, i int) tenancy.ID {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	length := min(most, tenancy.MaxIDLength)
	if i%3 > 0 {
		length = 1 + rnd.IntN(length)
	}
	var id strings.Builder
	id.WriteByte(letters[rnd.IntN(len(letters))])
	for id.Len() < length {
		id.WriteByte((letters + "-_")[rnd.IntN(len(letters)+2)])
	}
	if s := id.String(); len(s) > 8 { // none twice
		return tenancy.ID(fmt.Sprintf("%s%06d", s[:len(s)-6], i))
	}
	return tenancy.ID(id.String())
}
