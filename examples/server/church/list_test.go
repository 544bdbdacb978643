package church_test

import (
	"fmt"
	"testing"

	"github.com/pgtenancy/pgtenancy/examples/server/church"
)

func TestPagesHaveEveryRecordOnce(t *testing.T) {
	t.Parallel()
	db, ctx, members := newChurch(t), t.Context(), church.NewMembers()
	// One statement, so one created_at: the id alone must keep them apart.
	_, err := db.Exec(ctx,
		`INSERT INTO members (first_name, last_name) SELECT 'A', 'B' || n FROM generate_series(1, 25) n`)
	if err != nil {
		t.Fatal(err)
	}
	seen, after := map[string]bool{}, church.Cursor{}
	for pages := 1; ; pages++ {
		page := must[[]church.Member](t)(members.List(ctx, db, after, 10))
		for _, m := range page {
			if seen[m.ID] {
				t.Errorf("%s twice", m.ID)
			}
			seen[m.ID] = true
		}
		if len(page) < 10 {
			break
		}
		// Records added meanwhile are newer, and so on no later page.
		must[church.Member](t)(members.Create(ctx, db, church.MemberInput{FirstName: "New", LastName: fmt.Sprint(pages)}))
		after = must[church.Cursor](t)(church.ParseCursor(page[9].Cursor().String()))
	}
	if len(seen) != 25 {
		t.Errorf("%d members on all pages", len(seen))
	}
}

func TestListsReadTheirIndex(t *testing.T) {
	t.Parallel()
	db, ctx := newChurch(t), t.Context()
	_, err := db.Exec(ctx, `INSERT INTO members (first_name, last_name, created_at)
		SELECT 'A', 'B', now() - n * interval '1 second' FROM generate_series(1, 5000) n; ANALYZE members`)
	if err != nil {
		t.Fatal(err)
	}
	must[[]church.Member](t)(church.NewMembers().List(ctx, db, church.Cursor{}, 10))
	rows, err := db.Query(ctx, `EXPLAIN SELECT id FROM members WHERE (created_at, id) < (now(), 'x')
		ORDER BY created_at DESC, id DESC LIMIT 10`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan, line string
	for rows.Next() {
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan += line + "\n"
	}
	if want := "Index"; !containsAll(plan, want, "members_page_idx") || containsAll(plan, "Sort") {
		t.Errorf("plan:\n%s", plan)
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"", "MTcwMDAwMDAwMDAwMDAwMHxhYmM", "!", "fA", "LTF8YQ", "OTk5OTk5OTk5OTk5OTk5OTk5OXxh"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := church.ParseCursor(s)
		if err != nil {
			return
		}
		again, err := church.ParseCursor(c.String())
		if err != nil || again != c {
			t.Errorf("%q: %v, then %v, %v", s, c, again, err)
		}
	})
}
