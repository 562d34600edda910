package edge

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"hydrant/bus"
	"hydrant/edge/internal/session"
	"hydrant/umf"
)

// releaseTimeout is how long a node waits for the former owner of a session
// before it takes the session on the strength of the directory alone.
const releaseTimeout = time.Second

// claimAttempts bounds how often a resume reads the entry again because the
// former owner wrote a checkpoint in between.
const claimAttempts = 5

// resumeRequest is what a reconnect message asks for: HYDRA.md and DESIGN §3.1.
type resumeRequest struct {
	id     string
	token  string
	seq    uint64
	hasSeq bool
}

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

// resume moves an older session to this socket: DESIGN §5 "Resume".
func (c *client) resume(e *umf.Envelope) {
	r, problem := parseResume(e)
	switch {
	case problem == errMissingID:
		c.refuse(e.Raw(umf.Mid), codeResume, "reconnect message missing reconnect id")
		return
	case problem != nil:
		c.fail(e.Raw(umf.Mid), codeResume, problem.Error())
		return
	case r.id == c.a.sid:
		c.welcomeBack(resumed, c.a.sid)
		return
	case !bus.ValidSID(r.id):
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
		case err == nil && !n.claims.end(r.id, fence):
			c.busy = false
			c.notResumed(errResumeLost)
		case c.closing:
			if err == nil {
				n.abandon(r.id, cl)
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

var errMissingID = errors.New("edge: reconnect without an id")

func parseResume(e *umf.Envelope) (resumeRequest, error) {
	body := e.Raw(umf.Body)
	id, _ := umf.MemberText(body, "id")
	if id == "" {
		return resumeRequest{}, errMissingID
	}
	token, _ := umf.MemberText(body, "token")
	r := resumeRequest{id: id, token: token}
	if raw := umf.Member(body, "seq"); len(raw) > 0 && string(raw) != "null" {
		seq, err := parseSequence(raw)
		if err != nil {
			return r, err
		}
		r.seq, r.hasSeq = seq, true
	}
	return r, nil
}

// parseSequence reads a decimal string or number.
func parseSequence(raw []byte) (uint64, error) {
	if len(raw) >= 2 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	seq, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0, errors.New("seq is not a sequence number")
	}
	return seq, nil
}

// claim makes this node the owner of a session, or says why not. It runs on
// the pool.
func (n *Node) claim(ctx context.Context, r resumeRequest, identity string, acked bool, fence uint64) (claim, error) {
	var first bus.Entry
	var floor, seen uint64
	told := false // by the former owner, who knows best
	epoch := n.epoch()
	for attempt := range claimAttempts {
		entry, rev, err := n.dir.GetLatest(ctx, r.id)
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
			if rel, ok := n.askRelease(ctx, entry, r.id); ok {
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
		n.claims.begin(r.id, fence, floor, seen)
		rev, err = n.dir.Update(ctx, r.id, next, rev)
		if err != nil {
			n.claims.end(r.id, fence)
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

// mayResume applies DESIGN §8: the same identity, and the token where the
// session or the configuration asks for it.
func (n *Node) mayResume(entry bus.Entry, r resumeRequest, identity string, acked bool) error {
	if entry.Identity != identity {
		return errResumeIdentity
	}
	needed := entry.Acked || acked || n.cfg.Resume == "token"
	if (needed || r.token != "") && !tokenMatches(r.token, entry.TokenHash) {
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
		n.m.dropped.with("directory_cleanup").Inc()
	}
}

// takeOver replaces the socket's session by the claimed one and attaches it.
// stalled: the process did not run for a while since it was asked for.
func (c *client) takeOver(r resumeRequest, cl claim, stalled bool) {
	w := c.w
	switch before := c.a; {
	case before == nil:
	case before.fresh && !before.used && before.renewed > w.looked: // or word of its end has been left, which cannot be taken back
		before.discard()
	case before.waiting != nil && before.waiting.queued: // since a stall: it must not leave, nor what would be behind it
		w.node.abandon(r.id, cl)
		before.unverified()
		return
	default: // its messages wait like those of any client that went away
		before.park()
	}
	floor, seen := cl.floor, cl.seen
	if c.class == session.Acked && r.hasSeq {
		floor = r.seq
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
		w: w, sid: r.id, fence: cl.fence, identity: cl.entry.Identity,
		opened: cl.entry.Opened.Unix(), class: c.class, client: c, start: cl.entry.Start, rev: cl.rev,
		renewed: w.age() - w.node.renewal(), // its anchor may be as old as the session was away
	}
	copy(a.tokenHash[:], cl.entry.TokenHash)
	c.a = a
	c.arriving().deadline = w.loop.AfterFunc(w.node.cfg.HandshakeTimeout, func() {
		c.close(closeOverload, "session could not be resumed in time")
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
	result, label := 0, ""
	switch {
	case errors.Is(err, bus.ErrNoSession):
		result, label = resumeExpired, "expired"
	case errors.Is(err, errResumeToken):
		result, label = resumeToken, "token"
	case errors.Is(err, errResumeIdentity):
		result, label = resumeIdentity, "identity"
	case errors.Is(err, errResumeLost):
		n.m.resumes.with("lost").Inc()
		c.close(closeTakenOver, "another connection resumed the session first")
		return
	default:
		n.m.resumes.with("error").Inc()
		n.log.Warn("resume failed", "error", err)
		c.close(closeOverload, "session could not be resumed now")
		return
	}
	n.m.resumes.with(label).Inc()
	c.failures++
	c.welcomeBack(result, c.a.sid)
	if c.failures > maxFailedResumes || !n.guesses.allow(c.addr(), c.w.loop.Now()) {
		n.m.dropped.with("guesses").Inc()
		c.close(closePolicy, "too many failed resumes")
	}
}

// welcomeBack sends the connection message that answers a resume.
func (c *client) welcomeBack(result int, sid string) {
	n := c.w.node
	body := welcomeBody{ID: sid, IP: c.addr().String(), TTL: n.cfg.SessionTTL, Heartbeat: n.cfg.PingInterval, Window: n.cfg.Window, Resume: result}
	c.reply(outConnection, outgoing{to: sid + "@client:/", typ: "connection", body: body.append(nil)})
}

// acknowledge handles the confirmation of an acked client: DESIGN §3.2.
func (c *client) acknowledge(e *umf.Envelope) {
	if c.class != session.Acked {
		c.fail(e.Raw(umf.Mid), codeAck, "ack without "+subprotocolAck)
		return
	}
	seq, err := parseSequence(umf.Member(e.Raw(umf.Body), "seq"))
	if err != nil {
		c.fail(e.Raw(umf.Mid), codeAck, "ack needs a sequence number in bdy.seq")
		return
	}
	a, rmid := c.a, append([]byte(nil), e.Raw(umf.Mid)...)
	a.whenActive(confirmed, func() {
		if err := a.core.Ack(seq, a); err != nil {
			c.fail(rmid, codeAck, "ack beyond what was sent")
		}
	})
}
