package ownership

import (
	"fmt"
	"slices"
	"time"

	"hydrant/bus/scheme"
)

// holder is the owner of one machine: it performs the machine's effects, and
// delivers the mailbox to the socket in the simplest way that is correct.
type holder struct {
	w    *world
	node *node
	loop int
	m    Machine
	id   uint64
	sock *socket
	over bool // the machine has ended

	// The mailbox.
	listening bool
	begun     bool   // the client has been welcomed
	frozen    bool   // nothing is written
	leaving   bool   // neither, for good
	attaching bool   // waits for its marker
	mark      uint64 // id of its marker
	lasting   bool
	cursor    uint64 // all up to here is accounted for
	newest    uint64 // highest sequence of a copy
	rival     uint64 // sequence of the last marker that was reported
	written   uint64
	floor     uint64
	blocked   bool // the socket takes nothing now
	source    *source
	reading   int // number of the read on its way; 0: none
	reads     int
	dirty     bool

	// The socket.
	out  []frame
	held bool // not even what was written before leaves

	askers   []func(scheme.Position) // who waits for the hand-over
	writing  uint32                  // number of the write on its way
	answered uint64                  // floor that a former holder answered
}

// start makes the holder of a socket's session.
func (n *node) start(s *socket) {
	w := n.w
	w.ids++
	h := &holder{w: w, node: n, id: w.ids, sock: s, loop: w.rng.IntN(w.loops)}
	s.holder = h
	n.holders = append(n.holders, h)
	if s.fresh {
		h.event("opens", func() {
			h.m.Open(scheme.Entry{Node: n.id, Holder: h.id, Attempt: s.attempt()}, h)
		})
		return
	}
	h.event("claims", func() { h.m.Claim(n.id, h.id, s.attempt(), false, h) })
}

// event hands something to the machine.
func (h *holder) event(what string, do func()) {
	before := h.m.phase
	h.w.log("%s holder %d socket %d (%v): %s", h.node.id, h.id, h.sock.n, before, what)
	do()
	h.w.counts.moved(before, h.m.phase)
	if (before != Served || h.m.phase != Served) && !h.over {
		h.w.disturb(h.node)
	}
	h.pump()
}

// only performs an effect of a machine that lives.
func (h *holder) only(format string, args ...any) {
	if h.w.trace != nil {
		h.w.log("    "+format, args...)
	}
	if h.over {
		h.w.fail("holder %d has ended, and asks for "+format, append([]any{h.id}, args...)...)
	}
}

func (h *holder) Read(number uint32, sure bool) {
	h.only("read %d sure %v", number, sure)
	w := h.w
	h.node.request(w.lostReads, func() func() {
		e, rev := w.dir.read(sure)
		if e == nil {
			return func() { h.event("absent", func() { h.m.Absent(number, h) }) }
		}
		return func() {
			h.event(fmt.Sprintf("found revision %d: %s", rev, describe(e)), func() { h.m.Found(number, e, rev, 0, h.node.time(), h) })
		}
	}, func() { h.event("unread", func() { h.m.Unread(number, h) }) })
}

func (h *holder) Write(number uint32, e *scheme.Entry, rev uint64) {
	h.only("write %d at revision %d: %s", number, rev, describe(e))
	if h.writing != 0 {
		h.w.fail("holder %d writes twice at a time", h.id)
	}
	w, entry := h.w, *e
	h.writing = number
	h.w.check.swaps(h, e)
	h.node.request(w.lostWrites, func() func() {
		if !w.calm && w.percent(w.lostWrites/3) {
			return func() { h.unsettled(number) }
		}
		if !w.dir.write(entry, rev) {
			return func() {
				h.wrote(number)
				h.event("refused", func() { h.m.Refused(number, h.node.time(), h) })
			}
		}
		taken := uint64(len(w.dir.revs))
		return func() {
			h.wrote(number)
			h.event("stored", func() { h.m.Stored(number, taken, h.node.time(), h) })
		}
	}, func() { h.unsettled(number) })
}

// wrote notes that a write is answered.
func (h *holder) wrote(number uint32) {
	if h.writing == number {
		h.writing = 0
	}
}

func (h *holder) unsettled(number uint32) {
	h.wrote(number)
	h.event("unsettled", func() { h.m.Unsettled(number, h.node.time(), h) })
}

func (h *holder) Timer(number uint32, d time.Duration) {
	h.only("timer %d in %v", number, d)
	late := int64(0)
	if h.w.percent(h.w.slow) {
		late = h.w.between(0, 700)
	}
	h.node.after(d.Milliseconds()+late, func() {
		h.event("timed out", func() { h.m.TimedOut(number, h.node.time(), h) })
	})
}

func (h *holder) Admit(*scheme.Entry) Refusal { return Allowed }

func (h *holder) Claimed(*scheme.Entry) bool {
	h.only("claimed")
	if n := h.w.nodeOf(h.m.ParkedAt()); n != nil {
		h.source = &source{node: n, id: h.m.Former()}
	} else if h.source != nil && h.source.id != h.m.Former() {
		h.source = nil
	}
	return h.w.calm || h.w.percent(97)
}

func (h *holder) Position() scheme.Position { return position(h.floor) }

// position is a place in the mailbox, with its time where a message is there: the ends
// of gaps have none.
func position(seq uint64) scheme.Position {
	p := scheme.Position{Floor: seq, Seen: seq}
	if seq%5 != 0 {
		p.FloorTime, p.SeenTime = int64(seq)*1000, int64(seq)*1000
	}
	return p
}

func (h *holder) Welcome() {
	h.only("welcome")
	if h.attaching && !h.sock.fresh {
		h.w.fail("holder %d welcomes its client too early", h.id)
	}
	h.begun = true
	if h.source != nil {
		h.source.until = h.node.time() + tailUse
	}
	h.push(frame{welcome: true})
	h.w.check.welcome(h)
}

func (h *holder) Refuse(r Refusal) {
	h.only("refuse: %v", r)
	h.w.check.refused(h, r)
	h.shut()
}

func (h *holder) HandOver(a scheme.Position) {
	h.only("hand over at %d", a.Floor)
	h.w.check.position(a.Floor)
	h.node.given[h.id] = a
	for _, answer := range h.askers {
		answer(a)
	}
	h.askers = nil
	if h.complete() {
		h.linger()
	}
	h.leaving = true
	h.out = nil
}

func (h *holder) Ended(end End, _ uint64) {
	h.only("ended: %v", end)
	h.w.check.ended(h, end)
	h.over, h.listening, h.out = true, false, nil
	h.node.holders = slices.DeleteFunc(h.node.holders, func(o *holder) bool { return o == h })
	if h.askers != nil {
		h.w.fail("holder %d ends without an answer", h.id)
	}
	h.shut()
}

// shut closes the socket.
func (h *holder) shut() {
	if !h.sock.noticed {
		h.sock.noticed = true
		h.node.after(h.w.between(0, 3), h.sock.died)
	}
}
