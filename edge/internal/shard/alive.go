package shard

import (
	"time"

	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/takeover"
	"hydrant/edge/internal/wire"
)

// Who shows nothing but the id of a session gets it only if the session's client is
// silent: the id is an address, which everybody has who was ever written to.

const (
	// silence is how long a client has to be silent. It is asked with a Ping, so that a
	// client that lives needs a round trip, and its WebSocket library no help.
	silence = 2 * time.Second
	// silenceStep is how often it is looked whether bytes have come that are no whole
	// message yet.
	silenceStep = 100 * time.Millisecond
)

// inquiry is the question whether a session's client lives, while it is open.
type inquiry struct {
	asked Timer
	mark  wire.Mark
	since time.Duration // uptime when the client was asked
	last  time.Duration // uptime of the last look
	wait  []claimant    // those who are told
}

// claimant is another node that wants the session for a client.
type claimant struct {
	attempt uint64
	answer  func(takeover.Answer)
}

var (
	isAlive = takeover.Answer{Found: true, Live: true}
	isAsked = takeover.Answer{Found: true, Asking: true}
)

// inquire answers a claimant that shows nothing but the id.
func (h *held) inquire(r *takeover.Request, answer func(takeover.Answer)) {
	phase := h.owner.Phase()
	switch {
	case r.Attempt != 0 && r.Attempt < h.owner.Attempt():
		answer(takeover.Answer{Found: true, Declined: true})
		return
	case phase == ownership.Leaving: // another one has it
		answer(isAlive)
		return
	case h.client == nil || !h.welcomed(): // there is no client that has it
		h.give(r.Attempt, answer)
		return
	}
	q := h.wait().inquiry
	if q == nil {
		q = new(inquiry)
		h.wait().inquiry = q
		h.ask(q)
	}
	if !r.Wait {
		answer(isAsked)
		return
	}
	q.wait = append(q.wait, claimant{r.Attempt, answer})
}

// ask begins to wait for a sign of life.
func (h *held) ask(q *inquiry) {
	c := h.client
	q.mark, q.since, q.last = c.conn.Mark(), h.s.uptime(), h.s.uptime()
	c.conn.Ping([]byte("alive"))
	h.lookLater(q)
}

func (h *held) lookLater(q *inquiry) {
	q.asked = h.s.loop.AfterFunc(silenceStep, func() { h.look(q) })
}

// look decides whether the client lives. A client that is not read from, or has not
// been sent what is before the Ping, cannot show it; the limits for that are others.
func (h *held) look(q *inquiry) {
	c, now := h.client, h.s.uptime()
	late := now-q.last > 2*silenceStep // the loop did not run, and so read nothing
	q.last = now
	switch {
	case c.conn.HeardSince(q.mark):
		h.alive()
	case late:
		h.ask(q)
	case now-q.since < silence:
		h.lookLater(q)
	case c.isPaused() || c.conn.Unsent():
		h.alive()
	default:
		h.silent()
	}
}

// isPaused reports whether the node itself keeps the client from being heard.
func (c *Client) isPaused() bool {
	return c.busy || c.paused || c.calls >= maxCallsPerClient
}

// alive keeps the session: its client lives, or somebody else has the session.
func (h *held) alive() {
	for _, who := range h.inquired() {
		who.answer(isAlive)
	}
}

// silent gives the session to those who still wait for it. There may be none: then the
// client keeps it.
func (h *held) silent() {
	for _, who := range h.inquired() {
		h.give(who.attempt, who.answer)
	}
}

// inquired ends an inquiry, and returns who is to be told.
func (h *held) inquired() []claimant {
	if h.waiting == nil || h.waiting.inquiry == nil {
		return nil
	}
	q := h.waiting.inquiry
	h.waiting.inquiry = nil
	stop(&q.asked)
	return q.wait
}

// heard notes a whole message, or a pong.
func (c *Client) heard() {
	if h := c.has; h != nil && h.waiting != nil && h.waiting.inquiry != nil {
		h.alive()
	}
}
