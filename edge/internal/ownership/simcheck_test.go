package ownership

import (
	"fmt"
	"math"

	"hydrant/bus/scheme"
)

// checker says what must never happen.
type checker struct {
	w      *world
	latest *holder        // the newest that was welcomed
	had    int            // items of the mailbox before it need no look any more
	ranks  map[uint64]int // order in which holders came into the directory, from 1
}

// newer reports whether a is newer than b: of a later socket, where sockets are
// numbered, or else of a claim that succeeded later.
func (c *checker) newer(a, b *holder) bool {
	if c.w.numbered {
		return a.sock.n > b.sock.n
	}
	return c.ranks[a.id] > c.ranks[b.id]
}

func (c *checker) welcome(h *holder) {
	c.ordered(h, "welcomes")
	if c.latest == nil || c.newer(h, c.latest) {
		c.latest = h
	}
}

// leaves is called for each frame that goes to the connection.
func (c *checker) leaves(h *holder, f frame) {
	c.w.log("  to socket %d: %v", h.sock.n, f)
	c.ordered(h, "writes to")
}

func (c *checker) ordered(h *holder, does string) {
	if c.latest != nil && c.newer(c.latest, h) {
		c.w.fail("holder %d %s socket %d after holder %d has welcomed socket %d",
			h.id, does, h.sock.n, c.latest.id, c.latest.sock.n)
	}
}

// entry checks what the directory takes.
func (c *checker) entry(e scheme.Entry) {
	if c.ranks == nil {
		c.ranks = map[uint64]int{}
	}
	if c.ranks[e.Holder] == 0 {
		c.ranks[e.Holder] = len(c.ranks) + 1
	}
	if len(c.w.dir.revs) == 0 {
		return
	}
	last := c.w.dir.revs[len(c.w.dir.revs)-1]
	if e.Floor < last.Floor || e.Attempt < last.Attempt {
		c.w.fail("the entry goes back: %s, then %s", describe(&last), describe(&e))
	}
	c.position(e.Floor)
}

// missing is the sequence of the first message that the client never had.
func (c *checker) missing() uint64 {
	log := c.w.box.log
	for ; c.had < len(log); c.had++ {
		if it := log[c.had]; it.message && c.w.client.got[it.seq] == 0 {
			return it.seq
		}
	}
	return math.MaxUint64
}

// position checks that the client has everything up to a floor.
func (c *checker) position(floor uint64) {
	if m := c.missing(); m <= floor {
		c.w.fail("floor %d, but the client never had %d", floor, m)
	}
}

// swaps checks that an answer is not forgotten.
func (c *checker) swaps(h *holder, e *scheme.Entry) {
	if e.Floor < h.answered {
		c.w.fail("holder %d was answered floor %d, and writes %d", h.id, h.answered, e.Floor)
	}
}

// received checks what the client reads.
func (c *checker) received(s *socket, f frame) {
	got := c.w.client.got
	if f.seq <= s.last {
		c.w.fail("message %d after %d on socket %d", f.seq, s.last, s.n)
	}
	if s.last != 0 && f.prev != s.last {
		c.w.fail("message %d says that it follows %d, not %d", f.seq, f.prev, s.last)
	}
	if got[f.seq] == s.n {
		c.w.fail("message %d twice on socket %d", f.seq, s.n)
	}
	if m := c.missing(); m < f.seq {
		c.w.fail("message %d is skipped on socket %d", m, s.n)
	}
}

// refused checks that a claim is not refused without a reason.
func (c *checker) refused(h *holder, r Refusal) {
	switch r {
	case Overtaken:
		c.overtaken(h, "overtaken")
	case Contested:
		if c.w.numbered {
			c.w.fail("holder %d of a numbered socket is told that it is contested", h.id)
		}
	case Alive, Unanswered: // it shows nothing but the id
	default:
		c.w.fail("holder %d is refused: %v", h.id, r)
	}
}

// overtaken checks that there is a newer socket, where that can be known.
func (c *checker) overtaken(h *holder, what string) {
	if c.w.numbered && h.sock == c.w.client.newest() {
		c.w.fail("socket %d, the newest, is told that it is %s", h.sock.n, what)
	}
}

func (c *checker) ended(h *holder, end End) {
	switch end {
	case TakenOver, HandedOver:
		if !h.sock.noticed {
			c.overtaken(h, "taken over")
		}
	case Disputed, Expired, Discarded:
		if c.w.numbered || end != Disputed {
			c.w.fail("holder %d ends as %v", h.id, end)
		}
	}
}

// end checks what must be when all is quiet.
func (c *checker) end() {
	cl := &c.w.client
	s := cl.newest()
	for _, n := range c.w.nodes {
		for _, h := range n.holders {
			if !s.here || h.sock != s {
				c.w.fail("holder %d stays %v", h.id, h.m.phase)
			}
		}
	}
	if !cl.known && !s.here {
		return
	}
	if !s.here || !s.up || s.holder.m.phase != Served || s.holder.frozen {
		c.w.fail("stuck: socket %d is not served", s.n)
	}
	if cl.reopens > cl.pending+2 || c.w.numbered && cl.reopens > 1 {
		c.w.fail("%d sockets were needed", cl.reopens)
	}
	if m := c.missing(); m != math.MaxUint64 {
		c.w.fail("message %d never came", m)
	}
}

// describe writes an entry short.
func describe(e *scheme.Entry) string {
	text := fmt.Sprintf("%v holder %d on %s floor %s", e.State, e.Holder, e.Node, timed(e.Floor, e.FloorTime))
	if e.Seen != e.Floor {
		text += " seen " + timed(e.Seen, e.SeenTime)
	}
	if e.Attempt != 0 {
		text += fmt.Sprintf(" attempt %d", e.Attempt)
	}
	if e.Doubt {
		text += " doubt"
	}
	if e.Start != 0 {
		text += fmt.Sprintf(" start %d", e.Start)
	}
	if e.Acked {
		text += " acked"
	}
	return text
}

func (it *item) String() string {
	switch {
	case it.message:
		return fmt.Sprintf("%d after %d", it.seq, it.prev)
	case it.lasting:
		return fmt.Sprintf("%d after %d: lasting marker of holder %d", it.seq, it.prev, it.holder)
	}
	return fmt.Sprintf("%d after %d: marker of holder %d", it.seq, it.prev, it.holder)
}

func (f frame) String() string {
	if f.welcome {
		return "welcome"
	}
	return fmt.Sprintf("message %d after %d", f.seq, f.prev)
}
