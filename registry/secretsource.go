package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pgtenancy/pgtenancy/internal/regdb"
	"github.com/pgtenancy/pgtenancy/tenancy"
)

// ErrSecretRef is returned for a reference to a secret that is malformed, of a scheme that Config.Secrets does not
// have, or whose secret cannot be had.
var ErrSecretRef error = regdb.ErrSecretRef

// SecretSource returns the secret that a reference names, such as a path in a vault. Its errors are passed on, and hold
// no secret. ctx governs it, and ends after 10 s at the latest. It is used by many goroutines at once, whenever a
// router opens a tenant.
type SecretSource func(ctx context.Context, name string) (tenancy.Secret, error)

// EnvSecrets is the source of what stands in environment variables. Only those whose names begin with prefix, which
// must not be empty, can be named: write access to the registry must not be enough to read the rest of the environment.
func EnvSecrets(prefix string) SecretSource {
	return func(_ context.Context, name string) (tenancy.Secret, error) {
		value, ok := os.LookupEnv(name)
		if prefix == "" || !strings.HasPrefix(name, prefix) || !ok || value == "" {
			return tenancy.Secret{}, errors.New("no such environment variable")
		}
		return tenancy.NewSecret(value), nil
	}
}

// maxSecretFile is the longest secret in a file, in bytes.
const maxSecretFile = 4096

// FileSecrets is the source of what stands in files under dir, as Kubernetes and systemd mount them; one newline at the
// end is no part of the secret. A name is a path relative to dir, and neither it nor a symbolic link leads out of dir.
func FileSecrets(dir string) SecretSource {
	return func(_ context.Context, name string) (tenancy.Secret, error) {
		text, err := readSecret(dir, name)
		text = bytes.TrimSuffix(text, []byte("\n"))
		if err == nil && (len(text) == 0 || len(text) > maxSecretFile) {
			err = fmt.Errorf("file must have 1 to %d bytes", maxSecretFile)
		}
		return tenancy.NewSecret(string(text)), err
	}
}

func readSecret(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return io.ReadAll(io.LimitReader(f, maxSecretFile+2))
}
