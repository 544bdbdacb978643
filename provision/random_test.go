package provision_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// TestProcessKilledAtAnyTimeLeavesWholeTenantsOrNothing kills processes at random, while they make tenants, drop them,
// and end what others of them have left.
func TestProcessKilledAtAnyTimeLeavesWholeTenantsOrNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.rescuer(t)
	start := time.Now()
	f.create(t, p, "first")
	usual := time.Since(start)
	must(t, p.Drop(t.Context(), "first"))
	run(t, p)
	seed := uint64(start.UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	const most = 16 // left to be ended at a time: what a small machine can do within the promised time
	kills, children := pgtest.Size(6, 1000), pgtest.Size(2, 4)
	var (
		mu   sync.Mutex // guards said
		said = answers{}
		w    = f.watch(t)
		wg   sync.WaitGroup
		slot = make(chan struct{}, children)
	)
	for i := range kills {
		after := time.Duration(random.Int64N(int64(3 * usual)))
		slot <- struct{}{}
		eventually(t, "room for another", func() bool { return w.pending() < most })
		wg.Go(func() {
			defer func() { <-slot }()
			pid, out := f.killAfter(t, fmt.Sprintf("r%d", i), after)
			heard := answers{}
			heard.hear(out)
			w.die(pid, heard["begun"]...)
			mu.Lock()
			defer mu.Unlock()
			for what, ids := range heard {
				said[what] = append(said[what], ids...)
			}
		})
	}
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	slowest := w.end(t)
	c := f.takeCensus(t)
	lost := c.check(t, said)
	pgtest.Figure(t, "P2", "%d SIGKILLs in %d sign-ups and %d deletions: %d answered, %d lost, %d whole, %d flaws, "+
		"slowest %v",
		kills, len(said["begun"]), len(said["dropping"]), len(said["made"]), lost, len(c.active), len(c.flaws), slowest)
}

// killAfter kills a process some time after it began its first sign-up, and returns its id and what it said.
func (f *fixture) killAfter(t *testing.T, id string, after time.Duration) (pid int, said []byte) {
	cmd, _ := f.command(t, child{ID: id, Loops: true, TTL: 6 * time.Second})
	out, into, err := os.Pipe()
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer out.Close()
	cmd.Stdout = into
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return 0, nil
	}
	_ = into.Close()
	var heard bytes.Buffer
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadBytes('\n')
		heard.Write(line)
		if err != nil {
			break
		}
		if bytes.HasPrefix(line, []byte("child: begun")) && after > 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			after = 0
		}
	}
	_, _ = io.Copy(&heard, out)
	_ = cmd.Wait()
	if !killed(cmd) {
		t.Errorf("the process ended by itself: %s", &heard)
	}
	return cmd.Process.Pid, heard.Bytes()
}
