package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Bounds of the lookup cache. A client can make a node look up any number of
// made-up sessions: they must neither fill its memory nor throw all other
// entries out at once, so misses have a cache of their own.
const (
	lookupTTL   = 5 * time.Second
	maxLookups  = 32 << 10 // each of hits and misses
	maxAskers   = 1024     // lookups on their way; for what is not there they take a while
	lookupStale = maxLookups / 2
)

// Lookup reports whether a session exists, from a cache that is a few seconds
// old at most; misses, which are sure when they are put there, are cached as well.
// Concurrent calls for one session ask once. ErrOverload: too many different
// sessions are being asked for.
func (d *Directory) Lookup(ctx context.Context, sid scheme.SID) (bool, error) {
	if exists, ok := d.known.get(sid); ok {
		return exists, nil
	}
	if err := ctx.Err(); err != nil {
		return false, jet.RequestError(err)
	}
	ask, first, err := d.known.ask(sid)
	if err != nil {
		return false, err
	}
	if first {
		// The answer is for all that wait, so it does not end with the
		// first caller's context.
		go func() {
			ctx := context.WithoutCancel(ctx)
			_, _, err := d.Get(ctx, sid)
			if errors.Is(err, ErrNoSession) {
				_, _, err = d.Sure(ctx, sid)
			}
			d.known.answer(sid, ask, err)
		}()
	}
	select {
	case <-ask.done:
		return ask.exists, ask.err
	case <-ctx.Done():
		return false, jet.RequestError(ctx.Err())
	}
}

// Known is Lookup without asking: cached says whether an answer is at hand.
func (d *Directory) Known(sid scheme.SID) (exists, cached bool) { return d.known.get(sid) }

// Forget has Lookup and Known say from now on that a session is gone: its entry is
// about to be deleted.
func (d *Directory) Forget(sid scheme.SID) { d.known.put(sid, false) }

// lookups is the cache behind Lookup: two generations of hits and two of
// misses. An entry lives in the younger one until that is full; then the
// younger becomes the older and the older is dropped, which bounds the memory
// without a list per entry.
type lookups struct {
	// Guarded by mu.
	mu     sync.Mutex
	hits   generations
	misses generations
	asking map[scheme.SID]*lookup
}

type generations struct{ young, old map[scheme.SID]time.Time }

// lookup is one question on its way. exists and err are written before done is
// closed.
type lookup struct {
	done   chan struct{}
	exists bool
	err    error
	stale  bool // guarded by the cache's mu: put has said something newer
}

func newLookups() *lookups { return &lookups{asking: make(map[scheme.SID]*lookup)} }

func (l *lookups) get(sid scheme.SID) (exists, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hits.has(sid, now) {
		return true, true
	}
	return false, l.misses.has(sid, now)
}

func (l *lookups) put(sid scheme.SID, exists bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.asking[sid]; q != nil {
		q.stale = true
	}
	l.set(sid, exists, now)
}

// set records an answer. Caller holds mu.
func (l *lookups) set(sid scheme.SID, exists bool, now time.Time) {
	yes, no := &l.hits, &l.misses
	if !exists {
		yes, no = no, yes
	}
	no.drop(sid)
	yes.add(sid, now)
}

// ask joins the question about sid or, if there is none, opens it: then the
// caller must answer it.
func (l *lookups) ask(sid scheme.SID) (q *lookup, first bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.asking[sid]; q != nil {
		return q, false, nil
	}
	if len(l.asking) >= maxAskers {
		return nil, false, ErrOverload
	}
	q = &lookup{done: make(chan struct{})}
	l.asking[sid] = q
	return q, true, nil
}

// answer ends a question; only yes and no are remembered.
func (l *lookups) answer(sid scheme.SID, q *lookup, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asking, sid)
	q.exists = err == nil || errors.Is(err, ErrBadEntry)
	switch {
	case !q.exists && !errors.Is(err, ErrNoSession):
		q.err = err
	case !q.stale:
		l.set(sid, q.exists, time.Now())
	}
	close(q.done)
}

func (g *generations) has(sid scheme.SID, now time.Time) bool {
	at, ok := g.young[sid]
	if !ok {
		at, ok = g.old[sid]
	}
	return ok && now.Sub(at) < lookupTTL
}

func (g *generations) drop(sid scheme.SID) {
	delete(g.young, sid)
	delete(g.old, sid)
}

func (g *generations) add(sid scheme.SID, now time.Time) {
	if g.young == nil || len(g.young) >= lookupStale {
		g.old, g.young = g.young, make(map[scheme.SID]time.Time)
	}
	g.young[sid] = now
}
