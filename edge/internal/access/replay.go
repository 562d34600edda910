package access

import (
	"errors"
	"sync"
	"time"
)

// Errors of [Replay.Add].
var (
	// ErrReplay: the key is remembered, so it was there before.
	ErrReplay = errors.New("access: signed message repeated")
	// ErrReplayFull: there is no room to remember the key, and so no way to tell
	// later whether it was there before.
	ErrReplayFull = errors.New("access: too many signed messages to tell which are repeated")
)

// Replay remembers keys for a while: a bounded set. Safe for concurrent use.
type Replay struct {
	limit int
	full  func() // called for each key that is refused at the bound

	// Guarded by mu.
	mu    sync.Mutex
	until map[string]time.Time
	order []string // oldest first
}

// NewReplay returns an empty set of at most limit keys. full is called for each
// key that finds no room.
func NewReplay(limit int, full func()) *Replay {
	return &Replay{limit: limit, full: full, until: make(map[string]time.Time)}
}

// Add keeps a key for d, which is the same in all calls. It fails with
// [ErrReplay], or at the bound with [ErrReplayFull]: it rather refuses a new key
// than forgets one that may come again.
func (r *Replay) Add(key string, now time.Time, d time.Duration) error {
	err := r.add(key, now, d)
	if err == ErrReplayFull {
		r.full() // without the lock
	}
	return err
}

func (r *Replay) add(key string, now time.Time, d time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 && !r.until[r.order[0]].After(now) {
		delete(r.until, r.order[0])
		r.order = r.order[1:]
	}
	if _, there := r.until[key]; there {
		return ErrReplay
	}
	if len(r.order) >= r.limit {
		return ErrReplayFull
	}
	r.until[key] = now.Add(d)
	r.order = append(r.order, key)
	return nil
}
