// Package keyring holds the keys of a registry: it seals values, hashes texts with a key, and signs.
//
// [New] makes a [Keyring] of keys in memory; [ReadFile] and [Parse] read one from a file, which only its owner may be
// able to read or replace, and [CreateFile] makes such a file. A [Sealer] lets a key service seal in place of the
// ring's keys.
//
// Sealed values are bound to a place, and open for no other. The first key of each list writes, and all keys read, so
// that keys can be replaced while processes run. No key is ever printed, logged or part of an error.
//
// Read keyring.go first, then sealer.go. file.go, file_unix.go and create.go have the files.
package keyring
