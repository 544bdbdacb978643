package authn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// HasherConfig configures a [Hasher]. The zero value is fit for use: its parameters are OWASP's minimum for argon2id
// (Password Storage Cheat Sheet).
type HasherConfig struct {
	// MemoryKiB is argon2id's memory for one hash in KiB, at most 65536. Default: 19456.
	MemoryKiB uint32

	// Time is argon2id's number of passes, at most 10. Default: 2.
	Time uint32

	// Threads is argon2id's parallelism, at most 4. Default: 1.
	Threads uint8

	// Concurrency is how many hashes run at once; each takes MemoryKiB and a CPU. Default: half of GOMAXPROCS, at
	// least 1, so that a flood of sign-ins leaves CPUs to everything else (experiment S5 of docs/experiments.md).
	Concurrency int

	// Queue is how many callers may wait for a hash to end. Default: 64. Negative: none.
	Queue int

	// QueueWait is how long a caller waits at most. Default: 2 s. Negative: not at all.
	QueueWait time.Duration

	// ContextWords are names that a password must not be made of, such as the service's: see Check. Default: none.
	ContextWords []string

	// Breached reports whether password is known from a breach, of which others keep lists (OWASP ASVS 5.0, 6.2.12).
	// Hash calls it, in up to 16 calls at once, under a context that ends after 2 s, when it must return. Where it
	// returns an error, or 16 are under way for as long, the password is accepted: that the list cannot be asked must
	// not keep people from signing up. Its own log can tell. It must not pass the password on, nor a whole hash of it.
	// Default: none.
	Breached func(ctx context.Context, password string) (bool, error)
}

// Hasher hashes and verifies passwords, a bounded number at once. It is safe for concurrent use. A program should have
// one, because the bound is the Hasher's.
type Hasher struct {
	params params
	gate   *gate
	common map[string]struct{}
	salt   []byte // for Spend
	runs   atomic.Int64

	contextWords []string
	breached     func(ctx context.Context, password string) (bool, error)
	breachedGate *gate
}

// Format implements [fmt.Formatter]: under every verb a Hasher shows nothing of its ten thousand words.
func (*Hasher) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "hasher") }

// NewHasher returns a hasher, or every violation of cfg at once.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	cfg = cfg.withDefaults()
	p := params{memory: cfg.MemoryKiB, time: cfg.Time, threads: cfg.Threads}
	var errs []error
	if !p.valid() {
		errs = append(errs, fmt.Errorf("authn: HasherConfig.MemoryKiB, Time, Threads: "+
			"at most %d, %d and %d, and 8 KiB for each thread", maxMemory, maxTime, maxThreads))
	}
	if cfg.Concurrency < 0 {
		errs = append(errs, errors.New("authn: HasherConfig.Concurrency: must not be negative"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	h := &Hasher{
		params: p,
		gate:   newGate(cfg.Concurrency, cfg.Queue, cfg.QueueWait),
		common: commonPasswords(),
		salt:   newSalt(),

		contextWords: slices.Clone(cfg.ContextWords),
		breached:     cfg.Breached,
		breachedGate: newGate(breachedCalls, 4*breachedCalls, breachedTimeout),
	}
	return h, nil
}

func (cfg HasherConfig) withDefaults() HasherConfig {
	if cfg.MemoryKiB == 0 {
		cfg.MemoryKiB = 19456
	}
	if cfg.Time == 0 {
		cfg.Time = 2
	}
	if cfg.Threads == 0 {
		cfg.Threads = 1
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if cfg.Queue == 0 {
		cfg.Queue = 64
	}
	if cfg.QueueWait == 0 {
		cfg.QueueWait = 2 * time.Second
	}
	return cfg
}

// Hash returns the argon2id hash of password as a PHC string, with a salt of its own. The password is hashed byte for
// byte, without any normalization. It returns an error of Check for a password that is no good, ErrPasswordBreached for
// a password that HasherConfig.Breached knows, and ErrBusy when too many callers wait or the wait is too long. ctx
// governs the wait and Breached; a hash that has begun runs to its end.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.Check(password); err != nil {
		return "", err
	}
	if err := h.checkBreached(ctx, password); err != nil {
		return "", err
	}
	return h.Rehash(ctx, password)
}

// Rehash is Hash for a password that is in use already, which Verify has found right: the rules for new ones do not
// apply, and so it returns ErrBusy alone.
func (h *Hasher) Rehash(ctx context.Context, password string) (string, error) {
	hash := argon2Hash{params: h.params, salt: newSalt()}
	err := h.run(ctx, func() { hash.key = hash.derive(password) })
	if err != nil {
		return "", err
	}
	return hash.String(), nil
}

// Match is the answer of [Hasher.Verify].
type Match struct {
	// OK says that the password is right.
	OK bool

	// Rehash says that the password is right and its stored hash is bcrypt or has weaker parameters than the Hasher's.
	// The caller should store a new one, which Rehash makes, if the stored hash is still the verified one:
	// a password may be changed meanwhile. That the new one cannot be made must not fail the sign-in.
	Rehash bool
}

// Verify checks password against encoded, an argon2id or bcrypt hash, with exactly one run of a key derivation. It
// returns ErrInvalidHash if encoded is neither, or has not a key of 32 bytes, or would cost more than a hash may (64
// MiB, 10 passes, 4 threads; bcrypt cost 14), and ErrBusy as Hash does. ctx governs the wait as it does there.
//
// A password longer than MaxPasswordLength matches nothing. Nor does, with bcrypt, a password that bcrypt cannot tell
// from another: one of more than 72 bytes, of which it sees the first 72, or with a NUL.
func (h *Hasher) Verify(ctx context.Context, password, encoded string) (Match, error) {
	hash, invalid := parseHash(encoded)
	if invalid != nil || len(password) > MaxPasswordLength {
		if err := h.Spend(ctx, password); err != nil {
			return Match{}, err
		}
		return Match{}, invalid
	}
	var ok bool
	if err := h.run(ctx, func() { ok = hash.match(password) }); err != nil {
		return Match{}, err
	}
	return Match{OK: ok, Rehash: ok && hash.weaker(h.params)}, nil
}

// Spend costs what Verify costs against a hash of this Hasher, and says nothing: for the paths of a sign-in that have
// no hash to verify. It returns ErrBusy as Verify does, and ctx governs the wait.
func (h *Hasher) Spend(ctx context.Context, password string) error {
	password = password[:min(len(password), MaxPasswordLength)]
	hash := argon2Hash{params: h.params, salt: h.salt}
	return h.run(ctx, func() { hash.derive(password) })
}

// Full reports whether a hash would be refused with ErrBusy now, as many callers wait as may. A moment later it may be
// otherwise: it is for turning requests away before they cost anything, and does not stand in for the error.
func (h *Hasher) Full() bool { return h.gate.full() }

// Runs returns how many key derivations were begun; cumulative. That Verify and Spend each add one, on every path, is
// what keeps a sign-in from telling which accounts exist.
func (h *Hasher) Runs() int64 { return h.runs.Load() }

// run calls kdf, which is one key derivation, under a permit. The permit is held until kdf returns and not until ctx
// ends, because nothing stops kdf and its memory is what the permit counts.
func (h *Hasher) run(ctx context.Context, kdf func()) error {
	if err := h.gate.enter(ctx); err != nil {
		return err
	}
	defer h.gate.leave()
	h.runs.Add(1)
	kdf()
	return nil
}

func newSalt() []byte {
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails
	return salt
}
