package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	keysTimeout = 10 * time.Second // of one reading of a key set
	keysRetry   = time.Second      // after one that failed; grows, up to keysRetryMost
	keysAsked   = 5 * time.Second  // between two readings because of an unknown key
	keysSettled = 10 * time.Second // after a reading, a key that is not in the set does not exist
	keysKept    = time.Hour        // how old a set may be that was kept elsewhere

	keysRetryMost = 15 * time.Second
)

// Errors about a key set.
var (
	// ErrKeysUnread: the answer has another status than 200.
	ErrKeysUnread = errors.New("access: key set not read")
	// ErrNoUsableKey: a set has no key that verifies tokens.
	ErrNoUsableKey = errors.New("access: no key in the set verifies tokens")
	// ErrUnknownKey: no key of the set is the one that a token names, and is for its
	// algorithm.
	ErrUnknownKey = errors.New("access: unknown key")
	// ErrKeysOld: a set that was kept is too old to begin with.
	ErrKeysOld = errors.New("access: the keys that were kept are too old")
)

// KeySetOptions are the settings of a [KeySet], and what it tells. The functions are
// called from [KeySet.Watch], one at a time.
type KeySetOptions struct {
	Address string
	Every   time.Duration // how soon a new key is known, and how long a withdrawn one counts

	Failed  func(error)                    // the set could not be read, or no key of it is usable
	Skipped func(kid string, why error)    // a key is passed over; told once for each kid
	Read    func(set []byte, at time.Time) // a set with usable keys was read
}

// KeySet is a JSON Web Key Set (RFC 7517) at an address, which is read again and
// again. A set that was read replaces the one before, whose keys go on to count
// while none can be read. Safe for concurrent use.
type KeySet struct {
	// Immutable.
	o      KeySetOptions
	client *http.Client

	// Shared.
	latest atomic.Pointer[reading] // nil: nothing was read
	asked  chan struct{}           // with room for one: whoever misses a key sends

	// Owned by Watch.
	told map[string]bool // kids of keys that were passed over
}

// reading is a set as it was read at a time. Immutable.
type reading struct {
	keys []key
	at   time.Time
}

// NewKeySet returns a set of which nothing is read before [KeySet.Watch].
func NewKeySet(o KeySetOptions) *KeySet {
	return &KeySet{o: o, asked: make(chan struct{}, 1), told: make(map[string]bool), client: &http.Client{Timeout: keysTimeout, CheckRedirect: stayEncrypted}}
}

// stayEncrypted follows redirects, as long as whoever is on the way cannot put other
// keys into the answer.
func stayEncrypted(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= 10:
		return errors.New("too many redirects")
	case via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
		return errors.New("redirected from https to " + r.URL.Scheme)
	}
	return nil
}

// Watch reads the set until ctx ends.
func (s *KeySet) Watch(ctx context.Context) {
	retry := keysRetry
	for {
		wait := s.o.Every
		if err := s.read(ctx); ctx.Err() != nil {
			return
		} else if err != nil {
			s.o.Failed(err)
			wait = min(wait, retry)
			retry = min(2*retry, keysRetryMost)
		} else {
			retry = keysRetry
		}
		if !s.pause(ctx, wait) {
			return
		}
	}
}

// pause waits for the next reading; false: ctx has ended. Who misses a key shortens
// it, but not below a bound.
func (s *KeySet) pause(ctx context.Context, d time.Duration) bool {
	if d > keysAsked {
		if !sleep(ctx, keysAsked, nil) {
			return false
		}
		return sleep(ctx, d-keysAsked, s.asked)
	}
	return sleep(ctx, d, nil)
}

func sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-woken:
	case <-ctx.Done():
		return false
	}
	return true
}

// read fetches the set once.
func (s *KeySet) read(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.o.Address, nil)
	if err != nil {
		return err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return withoutAddress(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: status %d", ErrKeysUnread, answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxSet+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxSet:
		return fmt.Errorf("%w: it is over %d bytes", ErrNoSet, maxSet)
	}
	return s.take(text, time.Now())
}

// withoutAddress takes the address off an error of package http: it may have a secret in
// its query, and so may one that it is redirected to.
func withoutAddress(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// take replaces the set.
func (s *KeySet) take(text []byte, at time.Time) error {
	keys, passed, err := parseSet(text)
	if err != nil {
		return err
	}
	for _, p := range passed {
		if !s.told[p.id] && len(s.told) < maxSetKeys {
			s.told[p.id] = true
			s.o.Skipped(p.id, p.why)
		}
	}
	s.latest.Store(&reading{keys, at})
	if len(keys) == 0 {
		return ErrNoUsableKey
	}
	s.o.Read(text, at)
	return nil
}

// Restore begins with a set that was read at a time, by whatever node, unless this
// one has read one itself. It fails with [ErrKeysOld], [ErrNoSet] or
// [ErrNoUsableKey].
func (s *KeySet) Restore(text []byte, at time.Time) error {
	if age := time.Since(at); age > keysKept || age < -time.Minute {
		return ErrKeysOld
	}
	keys, _, err := parseSet(text)
	switch {
	case err != nil:
		return err
	case len(keys) == 0:
		return ErrNoUsableKey
	}
	s.latest.CompareAndSwap(nil, &reading{keys, at})
	return nil
}

// Usable reports whether there are keys to check tokens with.
func (s *KeySet) Usable() bool {
	r := s.latest.Load()
	return r != nil && len(r.keys) > 0
}

// Age is for how long the set was not read; 0: it never was.
func (s *KeySet) Age() time.Duration {
	if r := s.latest.Load(); r != nil {
		return max(time.Since(r.at), 0)
	}
	return 0
}

// Find implements [Keys]. It reads nothing and waits for nothing. That a key does not
// exist is certain only shortly after a reading; else it fails with [ErrUnchecked],
// and has the set read.
func (s *KeySet) Find(t *jwt.Token) (any, error) {
	r := s.latest.Load()
	if r == nil || len(r.keys) == 0 {
		return nil, ErrUnchecked
	}
	id, named := t.Header["kid"].(string)
	var found []jwt.VerificationKey
	known := false
	for i := range r.keys {
		k := &r.keys[i]
		if named && k.id != id {
			continue
		}
		known = true
		if k.suits(t.Method.Alg()) {
			found = append(found, k.public)
		}
	}
	switch {
	case len(found) == 1, named && len(found) > 0:
		return jwt.VerificationKeySet{Keys: found}, nil
	case known, time.Since(r.at) < keysSettled:
		return nil, ErrUnknownKey
	}
	select {
	case s.asked <- struct{}{}:
	default: // it is asked for already
	}
	return nil, fmt.Errorf("%w: %w", ErrUnchecked, ErrUnknownKey)
}
