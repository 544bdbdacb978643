package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgtenancy/pgtenancy/tenancy"
)

// version is a tenant's record from one change to the next. Epochs count versions, from 1 on, regardless of the
// tenant's changes of state.
type version struct {
	tenancy.Tenant
	gone  bool // there is no such tenant
	since time.Time
}

// holding is a lease that the model holds.
type holding struct {
	*tenancy.Lease
	id    tenancy.ID
	since time.Time
}

// model takes random actions on a resolver and its directory, and knows what the resolver may answer. What changes is
// written down before the resolver can see it.
type model struct {
	t        testing.TB
	rnd      *rand.Rand
	cfg      tenancy.Config
	r        *tenancy.Resolver
	dir      *tenants
	homes    map[tenancy.ID][]string // databases of each tenant
	slack    time.Duration           // by which timers may be late
	settle   func()                  // waits for what goes on behind the resolver's back
	sleep    func(time.Duration)
	query    func(*holding, time.Time) // queries a held lease, now
	onChange func(version, version)    // before the directory says so

	ids     []tenancy.ID
	past    map[tenancy.ID][]version
	told    map[tenancy.ID]int64 // the newest epoch that the resolver was told of
	held    []*holding
	failing time.Time // when the directory last failed
	down    bool
	trace   []string

	mu      sync.Mutex                 // guards what the observer writes
	evicted map[tenancy.ID][]time.Time // when
	alive   int                        // pools
}

// newModel makes the resolver of cfg, whose tenants are all there.
func newModel(t testing.TB, seed uint64, cfg tenancy.Config, homes map[tenancy.ID][]string) *model {
	m := &model{
		t: t, rnd: rand.New(rand.NewPCG(seed, 16)), cfg: cfg, dir: newTenants(), homes: homes,
		settle: func() {}, onChange: func(version, version) {},
		past: map[tenancy.ID][]version{}, told: map[tenancy.ID]int64{}, evicted: map[tenancy.ID][]time.Time{},
	}
	for i := range len(homes) {
		id := nth(i)
		m.ids = append(m.ids, id)
		first := version{Tenant: tenant(id, 1), since: time.Now()}
		first.Endpoint.Database = homes[id][0]
		m.past[id] = []version{first}
		m.dir.put(first.Tenant)
	}
	cfg.Directory = m.dir
	cfg.Observer = tenancy.Observer{
		PoolOpened: func(tenancy.ID) { m.mu.Lock(); m.alive++; m.mu.Unlock() },
		PoolEvicted: func(id tenancy.ID, _ tenancy.Cause) {
			m.mu.Lock()
			m.evicted[id] = append(m.evicted[id], time.Now())
			m.mu.Unlock()
		},
		PoolClosed: func(tenancy.ID, tenancy.Cause, time.Duration) { m.mu.Lock(); m.alive--; m.mu.Unlock() },
	}
	m.r = resolver(t, cfg)
	return m
}

func (m *model) errorf(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("%s\nafter: %s", fmt.Sprintf(format, args...), strings.Join(m.trace[max(0, len(m.trace)-12):], "; "))
}

func (m *model) note(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

func (m *model) current(id tenancy.ID) version { return m.past[id][len(m.past[id])-1] }

// step takes one action and looks at what must always hold.
func (m *model) step() {
	id := m.ids[m.rnd.IntN(len(m.ids))]
	switch n := m.rnd.IntN(100); {
	case n < 28:
		m.note("acquire %s", id)
		m.acquire(id)
	case n < 55 && len(m.held) > 0:
		h := m.held[m.rnd.IntN(len(m.held))]
		m.note("query %s@%d", h.id, h.Tenant().Epoch)
		m.query(h, time.Now())
	case n < 68 && len(m.held) > 0:
		m.release(m.rnd.IntN(len(m.held)))
	case n < 73:
		m.note("evict %s", id)
		m.r.Evict(id)
	case n < 87:
		m.change(id, m.rnd.IntN(4) > 0)
	case n < 91:
		m.note("acquire %s while it changes", id)
		m.acquireWhile(id, func() { m.change(id, true) })
	case n < 94:
		m.breakDirectory()
	default:
		m.expire()
	}
	m.settle()
	m.check()
}

// change makes the tenant's next version: suspended, resumed, moved, its password replaced, deleted or created.
func (m *model) change(id tenancy.ID, tell bool) {
	was := m.current(id)
	next := version{Tenant: tenant(id, was.Epoch+1), since: time.Now()}
	next.Endpoint = was.Endpoint
	switch m.rnd.IntN(6) {
	case 0:
		next.State = tenancy.Suspended
	case 1:
		next.gone = true
	case 2:
		next.Endpoint.Database = m.homes[id][m.rnd.IntN(len(m.homes[id]))]
	}
	m.note("%s@%d is %s in %s, gone %v, told %v", id, next.Epoch, next.State, next.Endpoint.Database, next.gone, tell)
	m.onChange(was, next)
	m.past[id] = append(m.past[id], next)
	m.dir.mu.Lock()
	if m.dir.records[id] = next.Tenant; next.gone {
		delete(m.dir.records, id)
	}
	m.dir.mu.Unlock()
	if tell {
		m.r.Invalidate(id, next.Epoch)
		m.told[id] = next.Epoch
	}
}

func (m *model) acquire(id tenancy.ID) {
	told, start := m.told[id], time.Now()
	l, err := m.r.Acquire(m.t.Context(), id)
	m.judge(id, l, err, told, start)
}

// patience is less than a resolver waits for its directory before it serves a tenant from what it knows.
const patience = 50 * time.Millisecond

// acquireWhile acquires with a directory that read its answer before f and gives it after.
func (m *model) acquireWhile(id tenancy.ID, f func()) {
	if m.down {
		return
	}
	var once sync.Once
	asked, answer := make(chan struct{}), make(chan struct{})
	m.dir.hook(func(context.Context, tenancy.ID) error {
		once.Do(func() { close(asked); <-answer })
		return nil
	})
	told, start := m.told[id], time.Now()
	type result struct {
		l   *tenancy.Lease
		err error
	}
	got := make(chan result, 1)
	go func() {
		l, err := m.r.Acquire(m.t.Context(), id)
		got <- result{l, err}
	}()
	var r result
	select {
	case <-asked:
		f()
		if time.Since(start) < patience { // or the lease may have been given before, from the cache
			told = m.told[id]
		}
		close(answer)
		r = <-got
	case r = <-got: // from the cache
	}
	m.dir.hook(nil)
	m.judge(id, r.l, r.err, told, start)
}

// judge keeps a lease, if the resolver was right to give it, or to refuse it.
func (m *model) judge(id tenancy.ID, l *tenancy.Lease, err error, told int64, start time.Time) {
	if err != nil {
		if !m.mayRefuse(id, err, told, start) {
			m.errorf("Acquire(%q): %v; told of epoch %d, the record is %+v", id, err, told, m.current(id))
		}
		return
	}
	h := &holding{Lease: l, id: id, since: start}
	m.held = append(m.held, h)
	v := m.past[id][l.Tenant().Epoch-1]
	window := m.cfg.TTL + m.slack
	if m.down || time.Since(m.failing) < 5*time.Second+m.slack {
		window += m.cfg.StaleGrace
	}
	switch {
	case l.Tenant().ID != id || v.gone || v.State != tenancy.Active || v.Endpoint != l.Tenant().Endpoint:
		m.errorf("Acquire(%q) leased %+v, want %+v", id, l.Tenant(), v)
	case v.Epoch < told:
		m.errorf("Acquire(%q) leased epoch %d after %d was announced", id, v.Epoch, told)
	case !m.was(v, start.Add(-window), time.Now()):
		m.errorf("Acquire(%q) leased epoch %d, out of date for longer than %v", id, v.Epoch, window)
	}
}

// was reports whether v was the newest version at some time between from and to.
func (m *model) was(v version, from, to time.Time) bool {
	if v.since.After(to) {
		return false
	}
	all := m.past[v.ID]
	return int(v.Epoch) == len(all) || !all[v.Epoch].since.Before(from)
}

// mayRefuse reports whether err is an answer that the tenant's versions, the directory or the limits explain.
func (m *model) mayRefuse(id tenancy.ID, err error, told int64, start time.Time) bool {
	explained := func(within time.Duration, fits func(version) bool) bool {
		for _, v := range m.past[id] {
			if fits(v) && v.Epoch >= told && m.was(v, start.Add(-within-m.slack), time.Now()) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, tenancy.ErrNotFound):
		return explained(m.cfg.NotFoundTTL, func(v version) bool { return v.gone })
	case errors.Is(err, tenancy.ErrSuspended):
		return explained(0, func(v version) bool { return !v.gone && v.State == tenancy.Suspended })
	case errors.Is(err, tenancy.ErrAtCapacity):
		pools := map[any]bool{}
		for _, h := range m.held {
			pools[h.Pool()] = true
		}
		return len(pools) >= m.cfg.MaxPools
	case errors.Is(err, errDown):
		return m.down
	}
	return false
}

func (m *model) release(i int) {
	h := m.held[i]
	m.note("release %s@%d", h.id, h.Tenant().Epoch)
	h.Release()
	if m.rnd.IntN(4) == 0 {
		h.Release() // it takes no other holder's
	}
	m.held = append(m.held[:i], m.held[i+1:]...)
}

func (m *model) breakDirectory() {
	m.down = !m.down
	m.note("directory down: %v", m.down)
	if m.failing = time.Now(); m.down {
		m.dir.hook(down)
		return
	}
	m.dir.hook(nil)
}

func (m *model) expire() {
	d := time.Duration(m.rnd.Int64N(int64(2 * m.cfg.TTL)))
	m.note("%v later", d)
	m.sleep(d)
}

// cut reports whether the pool of h may have been closed under it: it drains for longer than DrainTimeout.
func (m *model) cut(h *holding) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range m.evicted[h.id] {
		if m.cfg.DrainTimeout >= 0 && !at.Before(h.since) && time.Since(at)+m.slack >= m.cfg.DrainTimeout {
			return true
		}
	}
	return false
}

// check looks at what must always hold when nothing is going on.
func (m *model) check() {
	s := m.r.Stat()
	m.mu.Lock()
	alive := m.alive
	m.mu.Unlock()
	if s.OpenPools()+s.DrainingPools() > m.cfg.MaxPools || s.Leases() != len(m.held) || s.WaitingOpeners() != 0 {
		m.errorf("%d open and %d draining pools of %d; %d leases, %d held; %d wait", s.OpenPools(), s.DrainingPools(),
			m.cfg.MaxPools, s.Leases(), len(m.held), s.WaitingOpeners())
	}
	if m.slack == 0 && (s.Openings() != 0 || alive != s.OpenPools()+s.DrainingPools()) {
		m.errorf("%d openings; %d pools opened and not closed, %d known", s.Openings(), alive,
			s.OpenPools()+s.DrainingPools())
	}
}

// end releases all leases, closes the resolver and looks for leftovers.
func (m *model) end() {
	for len(m.held) > 0 {
		m.release(0)
	}
	m.settle()
	m.check()
	closeNow(m.t, m.r)
	if m.alive != 0 {
		m.errorf("%d pools opened and not closed", m.alive)
	}
}
