package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxKeyFile is the longest file of keys, in bytes.
const maxKeyFile = 64 << 10

// ReadFile returns the contents of a file of keys. On every system it returns an error for a file over 64 KiB and for
// anything that is not a regular file. On Unix it also returns an error if a user other than the process's own and root
// can read, write or replace the file:
//
//   - The file's mode must be 0600 or stricter, and it belongs to the process's user or to root.
//   - So must every directory on the way to it, from the root on and through symbolic links, and no other user may
//     write to one. In a sticky directory such as /tmp others may, if the entry on the way belongs to the process's
//     user or to root.
//
// A secret that Kubernetes mounts, with its links, is such a file where its defaultMode is 0400. ReadFile looks at
// the very file that it reads. Its errors hold the path and nothing of the file; a file that is not there matches
// [fs.ErrNotExist].
func ReadFile(path string) ([]byte, error) {
	f, err := openKeyFile(path)
	if err != nil {
		return nil, fmt.Errorf("keyring: file %s: %w", path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("keyring: file: %w", err)
	}
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("keyring: file %s: more than %d bytes", path, maxKeyFile)
	}
	return data, nil
}

// Parse returns the ring that data describes:
//
//	{"index": [{"id": 1, "secret": "…"}], "seal": [{"id": 1, "secret": "…"}]}
//
// Secrets are in base64, and the first of each list is current. Other members are ignored, so that a file may hold
// other keys too. It refuses what [New] does, and secrets that no random generator has made: text, such as a
// password or another encoding of the bytes, few different bytes, a sequence. Its errors hold nothing of data.
func Parse(data []byte) (*Keyring, error) {
	var file struct {
		Index []keyText `json:"index"`
		Seal  []keyText `json:"seal"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, errors.New("keyring: parse: malformed") // err may quote a secret
	}
	var cfg Config
	var errs []error
	for _, list := range []struct {
		name string
		from []keyText
		to   *[]Key
	}{{"index", file.Index, &cfg.Index}, {"seal", file.Seal, &cfg.Seal}} {
		for _, k := range list.from {
			if len(k.Secret) > 0 && weak(k.Secret) {
				errs = append(errs, fmt.Errorf("keyring: parse: %s: key %d: must be random bytes", list.name, k.ID))
			}
			*list.to = append(*list.to, Key(k))
		}
	}
	ring, err := New(cfg)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return ring, nil
}

// keyText is a Key in JSON.
type keyText struct {
	ID     int16  `json:"id"`
	Secret []byte `json:"secret"`
}

// weak reports whether a secret is surely not random. Of 10^10 random ones of 32 bytes less than one is taken for weak.
func weak(secret []byte) bool {
	different := map[byte]bool{}
	text, sequence := true, true
	for i, c := range secret {
		different[c] = true
		text = text && (c >= ' ' && c <= '~' || c == '\n')
		sequence = sequence && (i < 2 || c-secret[i-1] == secret[1]-secret[0])
	}
	return text || sequence || len(different) < 16
}
