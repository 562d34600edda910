package store

import (
	"context"
	"crypto/sha256"
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

// Found is what a look-up says of a session.
type Found struct {
	Exists bool
	owner  owner
}

// FoundSession is that a session of an identity exists; "": it has none.
func FoundSession(identity string) Found { return Found{true, ownerOf(identity)} }

// Of reports whether the session exists and is of an identity. Sessions without one
// are of nobody.
func (f Found) Of(identity string) bool {
	return f.Exists && identity != "" && f.owner == ownerOf(identity)
}

// owner stands for an identity, whose length others decide: the first half of its
// SHA-256. The zero value is nobody.
type owner [sha256.Size / 2]byte

func ownerOf(identity string) (o owner) {
	if identity != "" {
		var buf [1024]byte // for any that a node lets in, so that nothing is allocated
		sum := sha256.Sum256(append(buf[:0], identity...))
		copy(o[:], sum[:])
	}
	return o
}

// Lookup finds out whether a session exists and whose it is, from a cache that is a
// few seconds old at most; misses, which are sure when they are put there, are
// cached as well. Concurrent calls for one session ask once. ErrOverload: too many
// different sessions are being asked for.
func (d *Directory) Lookup(ctx context.Context, sid scheme.SID) (Found, error) {
	if found, ok := d.known.get(sid); ok {
		return found, nil
	}
	if err := ctx.Err(); err != nil {
		return Found{}, jet.RequestError(err)
	}
	ask, first, err := d.known.ask(sid)
	if err != nil {
		return Found{}, err
	}
	if first {
		// The answer is for all that wait, so it does not end with the
		// first caller's context.
		go func() {
			ctx := context.WithoutCancel(ctx)
			e, _, err := d.Get(ctx, sid)
			if errors.Is(err, ErrNoSession) {
				e, _, err = d.Sure(ctx, sid)
			}
			d.known.answer(sid, ask, e.Identity, err)
		}()
	}
	select {
	case <-ask.done:
		return ask.found, ask.err
	case <-ctx.Done():
		return Found{}, jet.RequestError(ctx.Err())
	}
}

// Known is Lookup without asking: cached says whether an answer is at hand.
func (d *Directory) Known(sid scheme.SID) (found Found, cached bool) { return d.known.get(sid) }

// Forget has Lookup and Known say from now on that a session is gone: its entry is
// about to be deleted.
func (d *Directory) Forget(sid scheme.SID) { d.known.put(sid, Found{}) }

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

type generations struct{ young, old map[scheme.SID]remembered }

// remembered is an answer with its time.
type remembered struct {
	at    time.Time
	owner owner
}

// lookup is one question on its way. found and err are written before done is
// closed.
type lookup struct {
	done  chan struct{}
	found Found
	err   error
	stale bool // guarded by the cache's mu: put has said something newer
}

func newLookups() *lookups { return &lookups{asking: make(map[scheme.SID]*lookup)} }

func (l *lookups) get(sid scheme.SID) (found Found, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if owner, ok := l.hits.get(sid, now); ok {
		return Found{true, owner}, true
	}
	_, ok = l.misses.get(sid, now)
	return Found{}, ok
}

// hit reports whether a session was there a moment ago.
func (l *lookups) hit(sid scheme.SID) bool {
	found, ok := l.get(sid)
	return ok && found.Exists
}

func (l *lookups) put(sid scheme.SID, found Found) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.asking[sid]; q != nil {
		q.stale = true
	}
	l.set(sid, found, now)
}

// set records an answer. Caller holds mu.
func (l *lookups) set(sid scheme.SID, found Found, now time.Time) {
	yes, no := &l.hits, &l.misses
	if !found.Exists {
		yes, no = no, yes
	}
	no.drop(sid)
	yes.add(sid, remembered{now, found.owner})
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

// answer ends a question; only yes and no are remembered. A session whose entry
// cannot be read is of nobody.
func (l *lookups) answer(sid scheme.SID, q *lookup, identity string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asking, sid)
	if err == nil || errors.Is(err, ErrBadEntry) {
		q.found = FoundSession(identity)
	}
	switch {
	case !q.found.Exists && !errors.Is(err, ErrNoSession):
		q.err = err
	case !q.stale:
		l.set(sid, q.found, time.Now())
	}
	close(q.done)
}

func (g *generations) get(sid scheme.SID, now time.Time) (owner, bool) {
	r, ok := g.young[sid]
	if !ok {
		r, ok = g.old[sid]
	}
	return r.owner, ok && now.Sub(r.at) < lookupTTL
}

func (g *generations) drop(sid scheme.SID) {
	delete(g.young, sid)
	delete(g.old, sid)
}

func (g *generations) add(sid scheme.SID, r remembered) {
	if g.young == nil || len(g.young) >= lookupStale {
		g.old, g.young = g.young, make(map[scheme.SID]remembered)
	}
	g.young[sid] = r
}
