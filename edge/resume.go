package edge

import (
	"context"
	"errors"
	"sync"
	"time"

	"hydrant/bus"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// releaseTimeout is how long a node waits for the former owner of a session
// before it takes the session on the strength of the directory alone.
const releaseTimeout = time.Second

// claimAttempts bounds how often a resume reads the entry again because the
// former owner wrote a checkpoint in between.
const claimAttempts = 5

// claim is a session that was taken over, ready to be attached.
type claim struct {
	entry bus.Entry
	fence uint64
	rev   uint64
	floor uint64
	seen  uint64
	epoch uint64 // of the connection to NATS before it was made
}

// claims are the sessions that this node is about to take over or has just
// taken, but that no loop holds yet. A node that reads such an entry asks for
// its release like for any other; without this table it would be told that
// nobody here has the session, and both would write. Safe for concurrent use.
type claims struct {
	mu      sync.Mutex
	pending map[claimKey]*pendingClaim
}

type claimKey struct {
	sid   string
	fence uint64
}

type pendingClaim struct {
	floor, seen uint64
	released    bool
}

func newClaims() *claims { return &claims{pending: make(map[claimKey]*pendingClaim)} }

// begin is called before the entry names the claim's fence.
func (c *claims) begin(sid string, fence, floor, seen uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[claimKey{sid, fence}] = &pendingClaim{floor: floor, seen: seen}
}

// end takes the claim out and reports whether it is still this node's.
func (c *claims) end(sid string, fence uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := claimKey{sid, fence}
	p := c.pending[key]
	delete(c.pending, key)
	return p != nil && !p.released
}

// release gives a claim up before it was used.
func (c *claims) release(key claimKey) (released, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[key]
	if p == nil || p.released {
		return released{}, false
	}
	p.released = true
	return released{Found: true, Floor: p.floor, Seen: p.seen}, true
}

// Results of a claim that are no failures of NATS.
var (
	errResumeToken    = errors.New("edge: resume refused: token")
	errResumeIdentity = errors.New("edge: resume refused: identity")
	errResumeLost     = errors.New("edge: another connection resumed the session first")
)

// resume moves an older session to this socket.
func (c *client) resume(e *umf.Envelope) {
	r, err := protocol.ParseResume(e.Raw(umf.Body))
	switch {
	case errors.Is(err, protocol.ErrNoID):
		c.refuse(e.Raw(umf.Mid), protocol.CodeResume, "reconnect message missing reconnect id")
		return
	case err != nil:
		c.fail(e.Raw(umf.Mid), protocol.CodeResume, "seq is not a sequence number")
		return
	case r.ID == c.a.sid:
		c.welcomeBack(protocol.Resumed, c.a.sid)
		return
	case !bus.ValidSID(r.ID):
		c.notResumed(bus.ErrNoSession)
		return
	}
	c.wait()
	w, n := c.w, c.w.node
	fence := randomUint64()
	identity, acked, stalls := c.identity, c.class == session.Acked, w.stalls
	job := func(ctx context.Context) (claim, error) { return n.claim(ctx, r, identity, acked, fence) }
	submit(w, job, func(cl claim, err error) {
		switch {
		case err == nil && !n.claims.end(r.ID, fence):
			c.busy = false
			c.notResumed(errResumeLost)
		case c.closing:
			if err == nil {
				n.abandon(r.ID, cl)
			}
		case err == nil:
			c.takeOver(r, cl, stalls != w.stalls)
		default:
			c.busy = false
			c.notResumed(err)
			c.ready()
		}
	})
}

// claim makes this node the owner of a session, or says why not. It runs on
// the pool.
func (n *Node) claim(ctx context.Context, r protocol.Resume, identity string, acked bool, fence uint64) (claim, error) {
	var first bus.Entry
	var floor, seen uint64
	told := false // by the former owner, who knows best
	epoch := n.epoch()
	for attempt := range claimAttempts {
		entry, rev, err := n.dir.GetLatest(ctx, r.ID)
		if err != nil {
			return claim{}, err
		}
		if attempt == 0 {
			first = entry
		} else if entry.Fence != first.Fence {
			return claim{}, errResumeLost
		}
		if err := n.mayResume(entry, r, identity, acked); err != nil {
			return claim{}, err
		}
		if entry.State == bus.StateLive {
			if rel, ok := n.askRelease(ctx, entry, r.ID); ok {
				floor, seen, told = rel.Floor, rel.Seen, true
			}
		}
		if !told {
			floor, seen = entry.Floor, entry.Seen
		}
		next := entry
		next.Node, next.Fence, next.State = n.id, fence, bus.StateLive
		next.Floor, next.Seen = floor, seen
		next.Acked = acked
		n.claims.begin(r.ID, fence, floor, seen)
		rev, err = n.dir.Update(ctx, r.ID, next, rev)
		if err != nil {
			n.claims.end(r.ID, fence)
		}
		switch {
		case errors.Is(err, bus.ErrFenced):
			continue
		case err != nil:
			return claim{}, err
		}
		return claim{entry: next, fence: fence, rev: rev, floor: floor, seen: seen, epoch: epoch}, nil
	}
	return claim{}, errResumeLost
}

// mayResume asks for the same identity, and for the token where the session or
// the configuration needs it.
func (n *Node) mayResume(entry bus.Entry, r protocol.Resume, identity string, acked bool) error {
	if entry.Identity != identity {
		return errResumeIdentity
	}
	needed := entry.Acked || acked || n.cfg.Resume == config.ResumeToken
	if (needed || r.Token != "") && !tokenMatches(r.Token, entry.TokenHash) {
		return errResumeToken
	}
	return nil
}

// abandon parks a session that was claimed for a socket that is gone.
func (n *Node) abandon(sid string, cl claim) {
	if !n.pool.submit(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		defer cancel()
		entry := cl.entry
		entry.State = bus.StateParked
		if _, err := n.dir.Update(ctx, sid, entry, cl.rev); err != nil {
			n.log.Debug("claimed session not parked; a resume finds it as it is", "sid", sid, "error", err)
		}
	}) {
		n.m.Dropped.Inc(stats.DropDirectoryCleanup)
	}
}

// takeOver replaces the socket's session by the claimed one and attaches it.
// stalled: the process did not run for a while since it was asked for.
func (c *client) takeOver(r protocol.Resume, cl claim, stalled bool) {
	w := c.w
	switch before := c.a; {
	case before == nil:
	case before.fresh && !before.used && before.renewed > w.looked: // or word of its end has been left, which cannot be taken back
		before.discard()
	case before.waiting != nil && before.waiting.queued: // since a stall: it must not leave, nor what would be behind it
		w.node.abandon(r.ID, cl)
		before.unverified()
		return
	default: // its messages wait like those of any client that went away
		before.park()
	}
	floor, seen := cl.floor, cl.seen
	if c.class == session.Acked && r.HasSeq {
		floor = r.Seq
		if floor == 0 {
			floor = cl.entry.Start // it has had nothing
		}
		if floor < cl.floor { // it asks for what it once confirmed
			seen = cl.entry.Start
			if seen > floor {
				seen = 0
			}
		}
	}
	a := &attachment{
		w: w, sid: r.ID, fence: cl.fence, identity: cl.entry.Identity,
		opened: cl.entry.Opened.Unix(), class: c.class, client: c, start: cl.entry.Start, rev: cl.rev,
		renewed: w.age() - w.node.renewal(), // its anchor may be as old as the session was away
	}
	copy(a.tokenHash[:], cl.entry.TokenHash)
	c.a = a
	c.arriving().deadline = w.loop.AfterFunc(w.node.cfg.HandshakeTimeout, func() {
		c.close(protocol.CloseOverload, "session could not be resumed in time")
	})
	w.attach(a, floor, seen)
	c.conn.Thaw() // it may be frozen for the session that it had, of which nothing is queued
	// Who asked for it while there was no connection was not heard, nor in time
	// where the process stood still.
	if (stalled || cl.epoch < w.epoch) && a.suspend(stalled) {
		a.verify()
	}
}

// notResumed tells the client that it keeps its fresh session, and why.
func (c *client) notResumed(err error) {
	n := c.w.node
	outcome := outcomeOf(err)
	n.m.Resumes.Inc(outcome)
	switch outcome {
	case protocol.ResumeLost:
		c.close(protocol.CloseTakenOver, "another connection resumed the session first")
		return
	case protocol.ResumeFailed:
		n.log.Warn("resume failed", "error", err)
		c.close(protocol.CloseOverload, "session could not be resumed now")
		return
	}
	c.failures++
	c.welcomeBack(outcome, c.a.sid)
	if c.failures > maxFailedResumes || !n.guesses.Allow(c.addr(), c.w.loop.Now()) {
		n.m.Dropped.Inc(stats.DropGuesses)
		c.close(protocol.ClosePolicy, "too many failed resumes")
	}
}

// outcomeOf names an error of a claim.
func outcomeOf(err error) protocol.Outcome {
	switch {
	case errors.Is(err, bus.ErrNoSession):
		return protocol.ResumeExpired
	case errors.Is(err, errResumeToken):
		return protocol.ResumeToken
	case errors.Is(err, errResumeIdentity):
		return protocol.ResumeIdentity
	case errors.Is(err, errResumeLost):
		return protocol.ResumeLost
	}
	return protocol.ResumeFailed
}

// welcomeBack sends the connection message that answers a resume.
func (c *client) welcomeBack(outcome protocol.Outcome, sid string) {
	welcome := c.greeting(sid)
	c.greet(sid, welcome.AppendAnswer(nil, outcome))
}

// acknowledge handles the confirmation of an acked client.
func (c *client) acknowledge(e *umf.Envelope) {
	if c.class != session.Acked {
		c.fail(e.Raw(umf.Mid), protocol.CodeAck, "ack without "+protocol.SubprotocolAck)
		return
	}
	seq, err := protocol.ParseSequence(e.Raw(umf.Body))
	if err != nil {
		c.fail(e.Raw(umf.Mid), protocol.CodeAck, "ack needs a sequence number in bdy.seq")
		return
	}
	a, rmid := c.a, append([]byte(nil), e.Raw(umf.Mid)...)
	a.whenActive(confirmed, func() {
		if err := a.core.Ack(seq, a); err != nil {
			c.fail(rmid, protocol.CodeAck, "ack beyond what was sent")
		}
	})
}
