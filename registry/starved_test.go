package registry_test

import (
	"errors"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/registry"
)

// Guards: with fewer connections than processes the same ones had none for ever, and nothing said so.
func TestProcessesTakeTurnsWhereThereAreFewerConnections(t *testing.T) {
	t.Parallel()
	log := make(lines, 1000)
	const budget, processes = 3, 5
	f := newFixture(t, func(_ *pgxpool.Config, cfg *registry.Config) {
		cfg.Heartbeat, cfg.Logger = 10*time.Millisecond, slog.New(slog.NewTextHandler(log, nil))
	})
	f.budgetOf(t, budget)
	var users []*user
	for range processes {
		users = append(users, f.join(t))
	}
	had := map[*user]bool{}
	unready := 0
	eventually(t, "served all", func() bool {
		for _, u := range users {
			must(t, u.share.Beat(t.Context()))
			if _, limits := sum(users); limits > budget {
				t.Fatalf("%d may be open, the budget is %d", limits, budget)
			}
			if u.limit["s1"] > 0 {
				had[u] = true
				must(t, u.share.Check())
				continue
			}
			var status interface{ HTTPStatus() int }
			if err := u.share.Check(); !errors.As(err, &status) || status.HTTPStatus() != 503 || !strings.Contains(err.Error(),
				`"s1"`) {
				t.Fatalf("a process without a connection is ready: %v", err)
			}
			unready++
		}
		return len(had) == processes && unready > 0
	})
}

func TestAShareOfNothingIsLoggedOnceAndItsEnd(t *testing.T) {
	t.Parallel()
	log := make(lines, 1000)
	f := newFixture(t, func(_ *pgxpool.Config, cfg *registry.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	f.budgetOf(t, 1)
	first, second := f.join(t), f.join(t)
	first.open["s1"] = 1 // and keeps it
	for range 8 {
		must(t, first.share.Beat(t.Context()))
		must(t, second.share.Beat(t.Context()))
	}
	log.next(t, `level=WARN msg="registry: budget share is no connection at all`)
	first.open["s1"] = 0
	first.share.Leave(t.Context())
	for range registry.MissedBeats + 1 {
		must(t, second.share.Beat(t.Context()))
	}
	for len(log) > 1 { // whose turn it was meanwhile
		<-log
	}
	log.next(t, `level=WARN msg="registry: budget share is no longer nothing" server=s1`)
}

func TestOnlyAProcessThatHasEndedIsSeenToHaveEnded(t *testing.T) {
	t.Parallel()
	own := registry.OwnProcess()
	if own == "" {
		return // nothing is seen here, and patience decides
	}
	cut := strings.LastIndexByte(own, '/')
	child := exec.CommandContext(t.Context(), "sleep", "60")
	must(t, child.Start())
	alive := registry.ProcessOf(child.Process.Pid)
	for what, named := range map[string]string{
		"this one": own, "a child": alive, "nothing": "", "another machine's": "x" + own, "half of one": own[:cut], "no " +
			"number": "a/b/c/d",
	} {
		if registry.ProcessEnded(named) {
			t.Errorf("%s has ended", what)
		}
	}
	if !registry.ProcessEnded(own[:cut] + "/1") {
		t.Error("one whose pid is used again has not ended")
	}
	must(t, child.Process.Kill())
	eventually(t, "seen", func() bool { return registry.ProcessEnded(alive) }) // before it was waited for
	_ = child.Wait()
	if !registry.ProcessEnded(alive) {
		t.Error("a killed process has not ended")
	}
}
