package devpg

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
)

// Config says which server Start looks for. The zero Config is a temporary server, unless DATABASE_URL names one.
type Config struct {
	// URL is the administrator's connection string of a server that runs already. Empty means the environment
	// variable DATABASE_URL; if that is empty too, Start starts a server. URL wins over every other field but Log.
	URL string

	// Own starts a server even if DATABASE_URL names one: a test may hurt it, and throws its data away. URL must be empty
	// then.
	Own bool

	// Dir keeps the server's data between runs. It is made if needed, and one process at a time can have it.
	// Empty means a temporary directory, removed by Stop: below TMPDIR if that is set, else below /dev/shm on Linux with
	// 8 GiB of memory to spare, else below /tmp.
	Dir string

	// Port is the TCP port on 127.0.0.1. Zero means a free one.
	Port int

	// Settings are further server settings, for example max_connections.
	Settings map[string]string

	// Log receives what the server writes to its log. Nil discards it. Start and Stop do not write to it
	// themselves, and nothing is written once Stop has returned.
	Log io.Writer
}

// withDefaults returns the Config that is used, or every reason why it cannot be.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("devpg: Config.Port: %d is not a TCP port", c.Port))
	}
	for name := range c.Settings {
		if name == "" {
			errs = append(errs, errors.New("devpg: Config.Settings: a setting must have a name"))
		}
	}
	if c.Own && c.URL != "" {
		errs = append(errs, errors.New("devpg: Config.Own: a server that runs already, Config.URL, cannot be it"))
	}
	if !c.Own {
		c.URL = cmp.Or(c.URL, os.Getenv("DATABASE_URL"))
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c, errors.Join(errs...)
}
