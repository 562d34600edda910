package shard

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/tail"
	"hydrant/edge/internal/takeover"
)

const (
	// tailPatience is how long the answer to a question for a tail is waited for,
	// before the store is read.
	tailPatience = 100 * time.Millisecond
	// maxTailAsks bounds the questions for one tail.
	maxTailAsks = 64
	// tailUse is for how long after the welcome a tail is used. Then the store has to tell:
	// the next holder, which may have got no answer here, waits for longer than that before
	// it welcomes its client, and its marker may be in no tail, nor its copy have come.
	tailUse = time.Second
)

// inheritance is what the node that had a session before may have kept for it.
type inheritance struct {
	from   takeover.Key
	node   scheme.NodeID
	until  time.Duration  // uptime until which it is used; known from the welcome on
	copies []session.Copy // that are here and not delivered, in order
	end    uint64         // of all that the node has, as it said last
	asked  int            // how often
	over   bool           // there is no more than what is here
}

// inherit prepares to ask for the tail of a session that was parked, or handed over.
func (h *held) inherit() {
	s := h.s
	node := h.owner.ParkedAt()
	if w := h.waiting; node == "" && w != nil && w.kept.holder == h.owner.Former() {
		node = w.kept.node
	}
	own := s.lingering[h.sid]
	if node == "" || s.node.Config.Linger <= 0 {
		if own != nil {
			s.endTail(own, stats.TailReplaced)
		}
		return
	}
	in := &inheritance{from: takeover.Key{SID: h.sid, Holder: h.owner.Former()}, node: node}
	h.inherits = in
	if own == nil {
		return
	}
	if own.key == in.from {
		in.over = true
		part, err := tail.ParsePart(own.tail.Part(own.key.Holder, 0, tail.MaxPart, s.loop.Now()), nil)
		if err != nil {
			panic("shard: its own tail cannot be read: " + err.Error())
		}
		h.keep(&part, nil)
	}
	h.subscription, own.subscription = own.subscription, nil
	s.node.Metrics.TailsEnded.Inc(stats.TailTakenOver)
	s.endTail(own, stats.TailTakenOver)
}

// keep makes copies of a part, in a slice. Messages that no client could take are places.
func (h *held) keep(part *tail.Part, into []session.Copy) {
	in := h.inherits
	in.end, in.copies = part.End, into
	for _, c := range part.Copies {
		out := session.Copy{Seq: c.Seq, Prev: c.Prev, Time: c.Time, TTL: c.TTL, Trace: c.Trace}
		payload, ok := h.inspect(c.Seq, c.Place, c.Payload)
		if out.Payload = payload; c.Place || !ok {
			out.Mark = junkMark
		}
		in.copies = append(in.copies, out)
	}
}

// Tail looks for copies of what is missing: here, at the node that parked the session,
// or in what was read for many sessions.
func (x *sessionEffects) Tail(after, to uint64) bool {
	h := x.held()
	return h.tail(after, to) || h.join(after, to)
}

// tail looks for copies here, or at the node that parked the session.
func (h *held) tail(after, to uint64) bool {
	in := h.inherits
	if in == nil {
		return false
	}
	if h.s.uptime() > in.until {
		h.inherits = nil
		return false
	}
	for len(in.copies) > 0 && in.copies[0].Seq <= after {
		in.copies = in.copies[1:]
	}
	switch {
	case len(in.copies) > 0 && in.copies[0].Prev > after:
		return false // the store has what is before
	case len(in.copies) > 0:
		h.deliverTail()
		return true
	case in.over, in.asked >= maxTailAsks:
		h.inherits = nil
		return false
	}
	if h.askTail(in, after, to) {
		return true
	}
	h.inherits = nil
	return false
}

// deliverTail gives the core what is here.
func (h *held) deliverTail() {
	h.s.source = stats.FromTail
	h.core.Copies(h.inherits.copies, h.session())
	h.s.source = stats.FromLive
}

// deliverPart gives the core what has come. All of it is taken as a rule, so that it is
// put where the one before it was: it is the rest that has a place of its own.
func (h *held) deliverPart(in *inheritance, part *tail.Part) {
	s := h.s
	room := s.copied
	s.copied = nil
	h.keep(part, slices.Grow(room[:0], len(part.Copies)))
	room = in.copies
	h.deliverTail()
	rest := in.copies
	for len(rest) > 0 && rest[0].Seq <= h.core.Cursor() {
		rest = rest[1:]
	}
	in.copies = slices.Clone(rest)
	s.copied = emptied(room)
}

// maxEmptied bounds the room for copies that is kept.
const maxEmptied = 1024

// emptied is a slice without what was in it; nil where that was much.
func emptied[T any](list []T) []T {
	if cap(list) > maxEmptied {
		return nil
	}
	clear(list)
	return list[:0]
}

// askTail asks the node for what follows.
func (h *held) askTail(in *inheritance, after, to uint64) bool {
	r := takeover.NewTailRequest(in.from, after, to)
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // of numbers and names
	}
	in.asked++
	return h.s.inquireAt(scheme.NodeSubject(in.node), data, tailPatience, func(answer *nats.Msg) { h.tailCame(in, after, to, answer) })
}

// tailCame takes the answer, if there is one.
func (h *held) tailCame(in *inheritance, after, to uint64, answer *nats.Msg) {
	s := h.s
	var part tail.Part
	err := tail.ErrPart
	if answer != nil && NoResponders(answer) && h.returns == returning {
		h.returns = orphaned
	}
	if answer != nil && !NoResponders(answer) {
		part, err = tail.ParsePart(answer.Data, s.parsed)
		s.parsed = nil
	}
	if err != nil || part.Holder != in.from.Holder {
		part = tail.Part{}
		s.node.Metrics.TailMisses.Inc()
	}
	h.takeTail(in, &part, to)
}

// takeTail gives the core what has come, as take does with what was read.
func (h *held) takeTail(in *inheritance, part *tail.Part, to uint64) {
	h.whenServed(answered, func() {
		if h.inherits != in { // void by now
			h.core.Copies(nil, h.session())
			return
		}
		met := false
		for i := range part.Copies {
			met = h.foreign(part.Copies[i].Holder, part.Copies[i].Seq) || met
		}
		if met && h.rival() {
			h.takeTail(in, part, to)
			return
		}
		n := len(part.Copies)
		in.over = n == 0 || part.Copies[n-1].Seq >= part.End
		h.deliverPart(in, part)
		h.s.parsed = emptied(part.Copies)
	})
}
