package provision_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
	"github.com/pgtenancy/pgtenancy/provision"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// disk is a small file system, on which a tablespace is.
type disk struct{ dir, filler string }

// newDisk mounts one of the server's account. The short form takes no sudo: an account that may not mount skips the
// test, and the long form fails there.
func (f *fixture) newDisk(t *testing.T) *disk {
	t.Helper()
	info, err := os.Stat(f.list(t, f.admin, "SHOW data_directory"))
	must(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	dir, err := os.MkdirTemp("/tmp", "provision-disk-")
	must(t, err)
	t.Cleanup(func() { must(t, os.Remove(dir)) })
	options := fmt.Sprintf("size=64m,mode=0700,uid=%d,gid=%d", owner.Uid, owner.Gid)
	if err := asRoot("mount", "-t", "tmpfs", "-o", options, "pgtenancy", dir); err != nil {
		if !pgtest.Full() {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, asRoot("umount", dir)) })
	return &disk{dir, filepath.Join(dir, "filler")}
}

func asRoot(args ...string) error {
	if os.Geteuid() != 0 && pgtest.Full() {
		args = append([]string{"sudo", "--non-interactive"}, args...)
	}
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput() //nolint:noctx // also at the end of the test
	if err != nil {
		return fmt.Errorf("%v: %w: %s: this test fills a file system of its own, and must be allowed to mount one", args,
			err, out)
	}
	return nil
}

// fill takes what is left.
func (d *disk) fill(t *testing.T) {
	t.Helper()
	file, err := os.Create(d.filler)
	must(t, err)
	defer file.Close()
	zero, err := os.Open("/dev/zero")
	must(t, err)
	defer zero.Close()
	if _, err := io.Copy(file, zero); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filled: %v", err)
	}
}

// TestFullDiskFailsSignUpsAndLeavesNothing fills the disk of the tenants, and frees it again. While a CREATE DATABASE
// finds it full, the server has pages of it that it cannot write, so that a checkpoint may fail, and with it a drop:
// the reconciler tries again.
func TestFullDiskFailsSignUpsAndLeavesNothing(t *testing.T) {
	cluster := newCluster(t, false)
	f := cluster.fixture(t)
	d := f.newDisk(t)
	t.Cleanup(func() { must(t, cluster.Stop()) }) // it has files there
	space := pgx.Identifier{f.prefix + "disk"}.Sanitize()
	must(t, execute(t.Context(), f.admin, "CREATE TABLESPACE "+space+" LOCATION '"+d.dir+"'"))
	p := f.provisioner(t)
	must(t, p.PrepareTemplate(t.Context(), "one"))
	must(t, execute(t.Context(), f.admin, "ALTER DATABASE "+
		pgx.Identifier{f.prefix + "_template_" + f.schema.Hash()}.Sanitize()+" SET TABLESPACE "+space))
	resident := f.create(t, p, "resident").Tenant
	must(t, f.work(t, resident, "INSERT INTO members (name) VALUES ('bob')"))
	started := f.list(t, f.admin, "SELECT pg_postmaster_start_time()::text")
	refused, served := 0, 0
	rounds, signUps := pgtest.Size(1, 10), pgtest.Size(4, 20)
	for round := range rounds {
		d.fill(t)
		served += f.whileServed(t, resident, func() { refused += f.refused(t, p, round, signUps) })
		eventually(t, "nothing left", func() bool {
			pass, err := p.Reconcile(t.Context())
			for _, err := range append(slices.Collect(maps.Values(pass.Retried)), err) {
				if err != nil && state(err) != "53100" && state(err) != "XX000" {
					t.Error(err)
				}
			}
			return f.residue(t) == f.active("resident")
		})
		if got := f.strayDirectories(t); got != "0" {
			t.Errorf("%s directories of databases that are not there", got)
		}
		must(t, os.Remove(d.filler))
		id := fmt.Sprintf("after%d", round)
		f.create(t, p, id)
		must(t, p.Drop(t.Context(), tenancy.ID(id)))
	}
	if now := f.list(t, f.admin, "SELECT pg_postmaster_start_time()::text"); now != started {
		t.Error("the server was restarted")
	}
	pgtest.Figure(t, "P13", "a full disk, %d times: %d of %d sign-ups refused with 53100, nothing left of them; %d "+
		"transactions of another tenant meanwhile, 0 failed; sign-ups went on once there was room",
		rounds, refused, rounds*signUps, served)
}

// refused has sign-ups, four at once, that fail because the disk is full, and returns how many did.
func (f *fixture) refused(t *testing.T, p *provision.Provisioner, round, signUps int) int {
	t.Helper()
	var n atomic.Int64
	measure(t, 4, signUps, func(i int) error {
		id := fmt.Sprintf("full%dx%d", round, i)
		_, err := p.Create(t.Context(), request(t, id, id+"@example.org"))
		if state(err) != "53100" {
			return fmt.Errorf("a sign-up on a full disk: %w", err)
		}
		n.Add(1)
		return nil
	})
	return int(n.Load())
}

// whileServed has a tenant read and write while do runs, and returns how often it did.
func (f *fixture) whileServed(t *testing.T, tenant tenancy.Tenant, do func()) (served int) {
	t.Helper()
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for over := false; !over; served++ {
			if err := f.work(t, tenant, "UPDATE members SET name = shout(name)"); err != nil {
				t.Errorf("another tenant: %v", err)
			}
			select {
			case <-ended:
				over = true
			default:
			}
		}
	})
	do()
	close(ended)
	pgtest.Wait(t, "every goroutine ends", wg.Wait)
	return served
}

// work runs a statement as the tenant, on a new connection.
func (f *fixture) work(t *testing.T, tenant tenancy.Tenant, sql string) error {
	conn, err := f.connect(t.Context(), tenant, tenant.Endpoint.Database)
	if err != nil {
		return err
	}
	_, err = conn.Exec(t.Context(), sql)
	return errors.Join(err, conn.Close(t.Context()))
}

// strayDirectories counts the directories in the tablespace that are no database's.
func (f *fixture) strayDirectories(t *testing.T) string {
	t.Helper()
	return f.list(t, f.admin, `
		SELECT count(*)::text FROM pg_tablespace s, pg_ls_dir('pg_tblspc/' || s.oid) v, pg_ls_dir('pg_tblspc/' || s.oid || '/' || v) d
		WHERE s.spcname = $1 || 'disk' AND starts_with(v, 'PG_') AND d NOT IN (SELECT oid::text FROM pg_database)`, f.prefix)
}
