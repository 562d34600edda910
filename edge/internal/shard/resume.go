package shard

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// enter gives an admitted client a session: the one that it has asked for with the
// handshake, or a fresh one.
func (c *Client) enter() {
	r := c.arriving().resume
	if r == nil {
		c.start()
		return
	}
	if c.conn.HungUp() {
		c.ready() // its goodbye is to be read
		return
	}
	sid, err := scheme.ParseSID(r.ID)
	if err != nil {
		c.notResumed(protocol.ResumeExpired)
		return
	}
	c.claim(sid)
}

// asksFirst reports whether the client has no session yet, nor was greeted without one:
// what it asks for it has asked with the handshake.
func (c *Client) asksFirst() bool { return c.sid() == "" }

// start opens the session of an admitted client.
func (c *Client) start() {
	if c.s.node.Full.Load() || !c.account.MayOpen(c.s.uptime()) {
		c.withoutSession()
		return
	}
	sid, err := c.s.node.Mailboxes.NewSID()
	if err != nil {
		c.s.node.Log.Warn("no session can be opened", "error", err)
		c.close(protocol.CloseOverload, "no mailbox can be had now")
		return
	}
	token := newToken()
	c.arriving().token = token
	c.has = c.s.open(c, sid, token)
}

// resume moves an older session to this socket.
func (c *Client) resume(e *umf.Envelope) {
	if c.closing {
		return // it will ask elsewhere
	}
	r, err := protocol.ParseResume(e.Raw(umf.Body))
	switch {
	case errors.Is(err, protocol.ErrNoID):
		c.refuse(e.Raw(umf.Mid), protocol.CodeResume, "reconnect message missing reconnect id")
		return
	case errors.Is(err, protocol.ErrAttempt):
		c.fail(e.Raw(umf.Mid), protocol.CodeResume, "attempt is not a number")
		return
	case err != nil:
		c.fail(e.Raw(umf.Mid), protocol.CodeResume, "seq is not a sequence number")
		return
	case c.has != nil && r.ID == string(c.has.sid):
		c.answerResume(protocol.Resumed)
		return
	case c.resumes > maxResumes:
		c.s.node.Metrics.Dropped.Inc(stats.DropResumes)
		c.close(protocol.ClosePolicy, "too many resumes on one connection")
		return
	}
	sid, err := scheme.ParseSID(r.ID)
	if err != nil {
		c.notResumed(protocol.ResumeExpired)
		return
	}
	if c.conn.HungUp() {
		return // see Hangup
	}
	c.wait()
	c.arriving().resume = &r
	c.claim(sid)
}

// claim begins to take a session for this socket, which waits.
func (c *Client) claim(sid scheme.SID) {
	c.resumeInTime()
	s, r := c.s, c.arriving().resume
	h := &held{s: s, sid: sid, class: c.class, client: c, resumed: true}
	c.want = h
	holder := randomUint64()
	h.owner.Claim(s.node.ID, holder, r.Attempt, c.class == session.Acked, h.ownership())
	if c.want == h { // a full pool may have ended it
		s.claims[h.key()] = h
	}
}

// resumeInTime closes the connection if the session is not there in time: once for
// the claim, whose writes are repeated as long as the directory does not answer,
// and once for what follows.
func (c *Client) resumeInTime() {
	c.inTime("session could not be resumed in time", func() { c.s.node.Metrics.Resumes.Inc(protocol.ResumeFailed) })
}

// bare reports whether a claim shows nothing but the session's id.
func (h *held) bare() bool {
	return h.client != nil && h.client.arriving().resume.Token == ""
}

// Admit reports whether a claimant may have a session: the same identity, and the
// token where the session or the configuration asks for it. Who has once shown the
// token is not outdone by the id alone any more.
func (x *ownershipEffects) Admit(e *scheme.Entry) ownership.Refusal {
	c := x.client
	if c == nil {
		return ownership.Allowed // it was, before the socket went; what the former holder said is to be stored
	}
	if e.Identity != c.rights.Identity() {
		return ownership.WrongIdentity
	}
	token := c.arriving().resume.Token
	needed := e.Acked || e.TokenOnly || c.second || x.s.node.Config.Resume == config.ResumeToken
	if (needed || token != "") && !tokenMatches(token, e.TokenHash) {
		return ownership.WrongToken
	}
	e.TokenOnly = e.TokenOnly || token != ""
	return ownership.Allowed
}

// Claimed replaces the session that the socket had by the claimed one.
func (x *ownershipEffects) Claimed(e *scheme.Entry) bool {
	h, s := x.held(), x.s
	c := h.client
	c.want = nil
	c.resumes++
	if c.closing {
		h.client = nil
		return false
	}
	switch before := c.has; {
	case before == nil:
	case before.waiting != nil && before.waiting.queued: // since a stall: it must not leave, nor what would be behind it
		h.client = nil
		before.unsettled()
		return false
	default:
		if before.unheardOf() {
			before.client = nil
			before.owner.Discard(before.ownership())
		} else {
			before.abandon()
		}
	}
	delete(s.claims, h.key())
	c.has = h
	h.returns = max(h.returns, returning)
	h.inherit()
	h.renewed = s.uptime() - s.renewal() // its anchor may be as old as the session was away
	c.resumeInTime()
	c.conn.Thaw() // it may be frozen for the session that it had, of which nothing is queued
	return true
}

// unheardOf reports whether nobody but the client knows a session, and no word of
// its end has been left, which could not be taken back.
func (h *held) unheardOf() bool {
	return !h.resumed && !h.used && h.renewed > h.s.looked && h.owner.Phase() == ownership.Served
}

// from is where delivery begins: where the directory says, which also knows where the
// session's log began, or an acked client that says what it has handled.
func (h *held) from(at scheme.Position, start uint64) session.Position {
	p := session.Position{Floor: at.Floor, FloorTime: at.FloorTime, Seen: at.Seen, SeenTime: at.SeenTime, Old: h.s.since.older(at)}
	if at.Back {
		p = session.Position{Old: true, Back: h.ofOldLog(at)}
	}
	if !h.resumed || h.class != session.Acked {
		return p
	}
	r := h.client.arriving().resume
	switch {
	case p.Back:
		p.Floor = r.Seq
		return p
	case !r.HasSeq:
		return p
	}
	own := r.Seq
	if own == 0 {
		own = start // it has had nothing
	}
	if own < p.Floor { // it asks for what it once confirmed
		if p.Seen, p.SeenTime = start, 0; p.Seen > own {
			p.Seen = 0
		}
	}
	if own != p.Floor {
		p.Floor, p.FloorTime = own, 0
	}
	return p
}

// ofOldLog reports whether the client may not know that the log went back: unless it names
// what is of the log that there is.
func (h *held) ofOldLog(at scheme.Position) bool {
	r := h.client.arriving().resume
	return h.class != session.Acked || !r.HasSeq || r.Seq == 0 || at.Floor <= r.Seq && r.Seq <= at.Seen
}

// Refuse tells the client that it keeps its fresh session, and why.
func (x *ownershipEffects) Refuse(r ownership.Refusal) {
	c := x.client
	delete(x.s.claims, x.held().key())
	c.want = nil
	if c.closing {
		return
	}
	first := c.asksFirst()
	c.busy = first
	switch r {
	case ownership.Unreadable: // it is gone, whoever has written over it
		c.s.node.Log.Warn("a session's entry cannot be read: it is lost", "sid", x.sid)
		c.notResumed(protocol.ResumeExpired)
	case ownership.Missing:
		c.notResumed(protocol.ResumeExpired)
	case ownership.WrongToken:
		c.notResumed(protocol.ResumeToken)
	case ownership.WrongIdentity:
		c.notResumed(protocol.ResumeIdentity)
	case ownership.Alive:
		c.notResumed(protocol.ResumeLive)
	case ownership.Overtaken, ownership.Contested:
		c.s.node.Metrics.Resumes.Inc(protocol.ResumeLost)
		code := protocol.CloseOverload
		if r == ownership.Overtaken {
			code = protocol.CloseTakenOver
		}
		c.close(code, "another connection resumed the session first")
		return
	default:
		c.s.node.Metrics.Resumes.Inc(protocol.ResumeFailed)
		c.s.node.Log.Warn("resume failed", "sid", x.sid, "why", r.String())
		c.close(protocol.CloseOverload, "session could not be resumed now")
		return
	}
	if !first {
		c.ready()
	}
}

// notResumed tells the client that it keeps its fresh session, or is given one, and
// counts the guess.
func (c *Client) notResumed(o protocol.Outcome) {
	n := c.s.node
	n.Metrics.Resumes.Inc(o)
	c.resumes++
	if c.asksFirst() {
		c.startInstead(o)
		return
	}
	c.answerResume(o)
	switch {
	case c.resumes > maxResumes:
		n.Metrics.Dropped.Inc(stats.DropGuesses)
		c.close(protocol.ClosePolicy, "too many failed resumes")
	case c.guessed() && c.has == nil:
		c.close(protocol.CloseOverload, comeBack)
	}
}

// startInstead opens a session for a client that does not get the one that it has asked
// for with the handshake.
func (c *Client) startInstead(o protocol.Outcome) {
	if !c.guessed() {
		return
	}
	r := c.arriving()
	r.resume, r.refused = nil, o
	c.openInTime()
	c.start()
}

// guessed counts an id that there is no session of, or not for this client, and reports
// whether the client may go on.
func (c *Client) guessed() bool {
	n := c.s.node
	if n.Guesses.Allow(c.addr(), c.s.loop.Now()) {
		return true
	}
	n.Metrics.Dropped.Inc(stats.DropGuesses)
	c.close(protocol.ClosePolicy, "too many unknown ids")
	return false
}

// answerResume answers a resume that changed nothing.
func (c *Client) answerResume(o protocol.Outcome) {
	sid := c.sid()
	body := c.greeting(sid)
	c.reply(stats.OutConnection, protocol.Message{To: protocol.ClientAddress(string(sid)), Type: protocol.TypeConnection, Body: body.AppendAnswer(nil, o)})
}

// acknowledge handles the confirmation of an acked client.
func (c *Client) acknowledge(e *umf.Envelope) {
	if c.class != session.Acked {
		c.fail(e.Raw(umf.Mid), protocol.CodeAck, "ack without "+protocol.SubprotocolAck)
		return
	}
	seq, err := protocol.ParseSequence(e.Raw(umf.Body))
	if err != nil {
		c.fail(e.Raw(umf.Mid), protocol.CodeAck, "ack needs a sequence number in bdy.seq")
		return
	}
	h, rmid := c.has, append([]byte(nil), e.Raw(umf.Mid)...)
	h.whenServed(confirmed, func() {
		if err := h.core.Ack(seq, h.session()); err != nil {
			c.fail(rmid, protocol.CodeAck, "ack beyond what was sent")
		}
	})
}

// newToken returns a resume secret of 256 random bits.
func newToken() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

// hashToken is what the directory keeps of a token.
func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func tokenMatches(token string, hash []byte) bool {
	return len(hash) > 0 && subtle.ConstantTimeCompare(hashToken(token), hash) == 1
}

func randomUint64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return binary.LittleEndian.Uint64(b[:])
}
