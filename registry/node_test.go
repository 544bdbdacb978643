package registry_test

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/registry"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// node is what one process has of its own: a registry with its connections, a resolver, and a follower that tells the
// resolver of changes.
type node struct {
	*tenancy.Resolver
	name string // the application_name of its connections to the registry
}

// node makes a node that connects to the registry's database with cc: f's own, or a route there.
func (f *fixture) node(t *testing.T, name string, cc *pgx.ConnConfig, poll time.Duration, cfg tenancy.Config) *node {
	t.Helper()
	pool := f.pool.Config()
	pool.ConnConfig, pool.MaxConns = cc.Copy(), 4
	pool.ConnConfig.Database = f.pool.Config().ConnConfig.Database
	if pool.ConnConfig.Password == pgtest.Admin(t).Password { // PgBouncer takes no such setting
		pool.ConnConfig.RuntimeParams["application_name"] = name
	}
	reg := newRegistry(t, registry.Config{Pool: newPool(t, pool), Keyring: newKeyring(t, 1), PollInterval: poll})
	base, err := pgxpool.ParseConfig("")
	must(t, err)
	base.ConnConfig = pgtest.Admin(t)
	cfg.Directory, cfg.Base = reg, base
	r, err := tenancy.New(cfg)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	(&fixture{Registry: reg}).tell(t, r)
	return &node{Resolver: r, name: name}
}

// housed makes an active tenant that has a database, which carries its mark, on the test's own server.
func (f *fixture) housed(t testing.TB, name string) (tenancy.ID, string) {
	t.Helper()
	admin := pgtest.Admin(t)
	must(t, f.PutServer(t.Context(), registry.Server{Name: "s1", Host: admin.Host, Port: admin.Port}))
	database := pgtest.Database(t).ConnConfig.Database
	f.comment(t, database, tenancy.OwnerTag{Tenant: tenancy.ID(name)})
	r := reservation(t, name)
	r.Database, r.Role, r.Password = database, admin.User, tenancy.NewSecret(admin.Password)
	c, err := f.Reserve(t.Context(), r)
	must(t, err)
	must(t, f.Activate(t.Context(), c))
	return c.Tenant.ID, database
}

// comment puts a mark on a database.
func (f *fixture) comment(t testing.TB, database string, m tenancy.OwnerTag) {
	t.Helper()
	f.exec(t, "COMMENT ON DATABASE "+pgx.Identifier{database}.Sanitize()+" IS '"+m.String()+"'")
}

// killListener ends the connection that listens for n, if there is one.
func (f *fixture) killListener(ctx context.Context, n *node) error {
	_, err := f.pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = $1
			AND query LIKE ANY('{LISTEN%,%pgtenancy.feed%,%pgtenancy.changes%}')`,
		n.name)
	return err
}

// request is how one query of a tenant ended.
type request struct {
	begun, ended time.Time
	database     string // that answered
	err          error
}

// ask asks a tenant's database for its name.
func (n *node) ask(ctx context.Context, id tenancy.ID) request {
	r := request{begun: time.Now()}
	r.err = n.AcquireFunc(ctx, id, func(ctx context.Context, db *pgxpool.Pool) error {
		return db.QueryRow(ctx, "SELECT current_database()").Scan(&r.database)
	})
	r.ended = time.Now()
	return r
}

// load asks 200 times a second, if the answers allow it, until stop is called.
func (n *node) load(t *testing.T, id tenancy.ID) (stop func() []request) {
	t.Helper()
	const workers, perSecond = 4, 200
	var wg sync.WaitGroup
	done := make(chan struct{})
	var all [workers][]request
	for w := range workers {
		wg.Go(func() {
			ticker := time.NewTicker(workers * time.Second / perSecond)
			defer ticker.Stop()
			for {
				all[w] = append(all[w], n.ask(t.Context(), id))
				select {
				case <-done:
					return
				case <-ticker.C:
				}
			}
		})
	}
	return func() (requests []request) {
		close(done)
		pgtest.Wait(t, "every goroutine ends", wg.Wait)
		for _, some := range all {
			requests = append(requests, some...)
		}
		return requests
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	pgtest.Eventually(t, what, ok)
}

// pause waits for d, which is part of the test.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// link stands between a node and the registry. It can be cut, so that new connections are refused and existing ones
// end, or become a black hole, which takes connections and answers nothing.
type link struct {
	listener net.Listener
	to       string
	cut      atomic.Bool
	hole     atomic.Bool
	wg       sync.WaitGroup

	mu   sync.Mutex // guards open
	open map[net.Conn]struct{}
}

// newLink returns a link to the registry's server, and the configuration that leads through it.
func newLink(t *testing.T) (*link, *pgx.ConnConfig) {
	t.Helper()
	cc := pgtest.Admin(t)
	_, to := pgconn.NetworkAddress(cc.Host, cc.Port)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	l := &link{listener: listener, to: to, open: map[net.Conn]struct{}{}}
	l.wg.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			l.wg.Go(func() { l.serve(context.WithoutCancel(t.Context()), in) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.closeConn()
		l.wg.Wait()
	})
	addr := listener.Addr().(*net.TCPAddr)
	cc.Host, cc.Port, cc.Fallbacks = addr.IP.String(), uint16(addr.Port), nil
	return l, cc
}

func (l *link) serve(ctx context.Context, in net.Conn) {
	defer in.Close()
	if l.cut.Load() {
		return
	}
	out, err := new(net.Dialer).DialContext(ctx, "tcp", l.to)
	if err != nil {
		return
	}
	defer out.Close()
	l.mu.Lock()
	l.open[in], l.open[out] = struct{}{}, struct{}{}
	l.mu.Unlock()
	l.wg.Go(func() { l.pump(in, out) })
	l.pump(out, in)
	l.mu.Lock()
	delete(l.open, in)
	delete(l.open, out)
	l.mu.Unlock()
}

func (l *link) pump(dst io.WriteCloser, src io.Reader) {
	defer dst.Close()
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		if l.hole.Load() {
			continue
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (l *link) closeConn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		_ = conn.Close()
	}
}
