package session

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// world is one simulated run.
type world struct {
	rng   *rand.Rand
	st    *stream
	hosts []*host
	nodes [2]node
	marks uint64
	noted int   // the log of the last note in the directory that it went back
	first int64 // when the last message was stored that was there before it first did

	stamps    bool // copies and batches carry times
	oldest    bool // batches name the leader's oldest message
	deposed   bool // leaders may be deposed, and not know it; a read with messages is one server's answer
	rollbacks bool
	restless  bool // faults of the store are frequent
	mortal    int  // one of so many messages has a time to live
	lostPongs int  // percent
	loss      int  // percent of live copies
	pace      int  // percent of steps that are what should happen next
	draining  bool

	counts [NumEvents]int
	gaps   [3]int
	trace  *strings.Builder // nil: no trace
	failed string

	steps, took int // of the schedule, before it drains
}

// node is what hosts of one node have in common.
type node struct {
	conn    int   // connections to NATS so far
	offline bool  // there is none
	since   int64 // the store's time when the present one began
	logs    []int // by connection: the store's log when it began, and the node noted that it had gone back
}

type failure struct{}

// fail ends the run.
func (w *world) fail(h *host, format string, args ...any) {
	w.failed = fmt.Sprintf("box %d (%v): ", h.box, h.class) + fmt.Sprintf(format, args...)
	w.log("FAIL %s", w.failed)
	panic(failure{})
}

func (w *world) log(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, format+"\n", args...)
	}
}

// newWorld draws a configuration.
func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 3))}
	r := w.rng
	for n := range w.nodes {
		w.nodes[n].logs = []int{0}
	}
	w.st = newStream(r, 3+r.IntN(12), w.put)
	w.st.isFresh = func(box int) bool {
		return box < len(w.hosts) && w.hosts[box].s != nil && w.hosts[box].s.fresh
	}
	if r.IntN(3) == 0 {
		w.st.bound = 1000
	}
	w.rollbacks = r.IntN(3) > 0
	w.restless = r.IntN(3) == 0
	w.mortal = 2 + r.IntN(8)
	w.stamps = w.rollbacks || r.IntN(2) == 0
	w.oldest = r.IntN(2) == 0
	w.deposed = r.IntN(4) > 0
	w.lostPongs = 20 * r.IntN(3)
	w.loss = 20 * r.IntN(3)
	w.pace = 35 * r.IntN(3)
	for box := range 1 + r.IntN(3) {
		h := &host{w: w, box: box, class: Class(r.IntN(2)), bound: 1 + r.IntN(8),
			opts:   Options{Window: 1 + r.IntN(6), HeldMessages: 1 + r.IntN(5), HeldBytes: 8 * (1 + r.IntN(6)), Batch: 1 + r.IntN(6)},
			client: client{got: map[int]delivery{}, newest: -1},
		}
		w.hosts = append(w.hosts, h)
	}
	return w
}

// payload and byMessage make payloads that name their record.
func payload(r *record) []byte { return binary.BigEndian.AppendUint64(nil, uint64(r.id)) }

func (w *world) byMessage(box int, p []byte) *record { return w.st.all[binary.BigEndian.Uint64(p)] }

// put republishes a stored message to those who are subscribed.
func (w *world) put(r *record, prev uint64) {
	w.log("  stored seq %d id %d box %d mark %d ttl %v prev %d", r.seq, r.id, r.box, r.mark, r.ttl, prev)
	if r.box >= len(w.hosts) {
		return
	}
	h := w.hosts[r.box]
	if w.draining || w.rng.IntN(100) >= w.loss/2 {
		h.keep(item{rec: r, prev: prev})
	}
	if h.s == nil || !h.interest || !w.draining && w.rng.IntN(100) < w.loss && r.mark == 0 {
		return
	}
	h.pipe = append(h.pipe, item{rec: r, prev: prev})
	if w.draining {
		return
	}
	switch n := len(h.pipe); w.rng.IntN(40) {
	case 0, 1:
		h.pipe = append(h.pipe, item{rec: r, prev: prev}) // a new leader publishes it again
	case 2:
		if n > 1 && h.pipe[n-2].rec != nil && h.pipe[n-2].rec.log == r.log {
			h.pipe[n-2], h.pipe[n-1] = h.pipe[n-1], h.pipe[n-2] // two leaders, two routes
		}
	}
}

// gap checks that a gap is no false one.
func (w *world) gap(h *host, g Gap) {
	w.gaps[g.Why]++
	w.log("  box %d: gap %+v", h.box, g)
	if g.From > g.To {
		w.fail(h, "gap from %d to %d", g.From, g.To)
	}
	real := h.unsure || w.st.lossy[h.box] && h.lostFirst
	switch g.Why {
	case Rollback:
		real = h.guess || w.st.log > h.posLog || w.st.went(h.box, max(g.To, g.Prev), undone) // also if it is what the client was given last
	case Overflow:
		real = real || w.st.revived(h.box) || w.st.went(h.box, g.To, discarded, shed) || w.st.went(h.box, math.MaxUint64, undone)
	case Expired:
		real = real || w.st.revived(h.box) || w.st.went(h.box, math.MaxUint64, expired, shed, undone)
	}
	if !real {
		w.fail(h, "gap %v %d to %d, but nothing of the kind was lost", g.Why, g.From, g.To)
	}
}

func (w *world) time(r *record) int64 {
	if w.stamps {
		return r.time
	}
	return 0
}

// deliverCopy hands the first item of the pipe to the session.
func (h *host) deliverCopy() {
	it := h.pipe[0]
	h.pipe = h.pipe[1:]
	if it.lost {
		h.reached++
		h.event("disconnected", func() { h.s.Disconnected(h) })
		return
	}
	r := it.rec
	if r.mark != 0 && r.mark == h.s.mark && !h.s.offline {
		h.markLog = r.log
	}
	c := h.copyOf(it)
	h.eventAt(r.log, fmt.Sprintf("copy %d (id %d) prev %d mark %d", r.seq, r.id, it.prev, r.mark), func() { h.s.Live(c, h) })
}

// eventAt is event for one that brings messages of that log.
func (h *host) eventAt(log int, name string, f func()) {
	h.event(name, func() {
		h.readLog = log
		f()
	})
}

// storeMark lets the first published marker reach the store.
func (h *host) storeMark() {
	m := h.marks[0]
	h.marks = h.marks[1:]
	h.born = true
	ttl := 3
	if m.keep {
		ttl = 0
	}
	h.w.st.put(h.box, m.id, ttl)
}

// loseMark drops the first published marker. Without its first one a fresh
// session cannot know that nothing was before its first message.
func (h *host) loseMark() {
	h.marks = h.marks[1:]
	if !h.born {
		h.born = true
		h.w.st.lossy[h.box], h.lostFirst = true, true
	}
}

// serveRead moves the outstanding read on: messages from some replica, then the
// leader's word, then the answer.
func (h *host) serveRead(stale, fails bool) {
	p, st := h.read, h.w.st
	switch {
	case p.answered && p.conn > h.reached:
		// The owner passes on what came over a new connection only after
		// Disconnected.
		return
	case p.answered:
		h.read = nil
		h.suspect = h.suspect || h.noted() > h.provedAt
		p.b.Back = p.b.Anchor == Present && h.s.Unproved() && h.suspect && (p.b.AnchorTime == 0 || p.b.AnchorTime > h.w.first)
		h.eventAt(p.log, fmt.Sprintf("batch %d msgs anchor %v oldest %d next %d last %d err %v", len(p.b.Msgs), p.b.Anchor, p.b.Oldest, p.b.Next, p.b.Last, p.b.Err),
			func() { h.s.Batch(p.b, h) })
	case fails, len(p.b.Msgs) > 0 && p.conn != h.on().conn, p.served && p.conn != h.on().conn: // the connection was lost in between
		p.b, p.answered, p.conn = Batch{Err: errTest}, true, 0
	case h.on().offline:
	case !p.served:
		p.log, p.conn = st.log, h.on().conn
		h.gather(st.replica(stale))
	case p.log != st.log:
		p.b, p.answered, p.conn = Batch{Err: errTest}, true, 0
	default:
		p.answered = true
		h.leader(p)
	}
}

// parts is how many answers a read takes.
func (w *world) parts() int {
	if w.deposed {
		return 1
	}
	return 1 + w.rng.IntN(3)
}

// gather adds a part of the messages that a read asks for.
func (h *host) gather(v view) {
	p, from := h.read, h.read.from
	if n := len(p.b.Msgs); n > 0 {
		from = p.b.Msgs[n-1].Seq + 1
	}
	want := p.max - len(p.b.Msgs)
	if p.parts--; p.parts > 0 {
		want = min(want, 1)
	}
	for _, r := range v.from(h.box, from, want) {
		m := Stored{Seq: r.seq, Time: h.w.time(r), Mark: r.mark != 0, TTL: r.ttl}
		if r.mark == 0 {
			m.Payload = payload(r)
		}
		p.b.Msgs = append(p.b.Msgs, m)
	}
	p.served = p.parts <= 0
	if h.w.deposed && len(p.b.Msgs) > 0 {
		p.answered = true
		h.judge(p, v)
	}
}

// leader fills in what is not told with the messages. It may be one that was
// deposed.
func (h *host) leader(p *pendingRead) {
	v := h.w.st.now
	if h.w.deposed {
		v = h.w.st.replica(!h.w.draining && h.w.rng.IntN(6) == 0)
	}
	h.judge(p, v)
}

// judge fills in what a server says beside the messages.
func (h *host) judge(p *pendingRead, now view) {
	if p.anchor != 0 {
		r := now.at(p.anchor)
		switch {
		case r == nil && p.anchor > now.last:
			p.b.Anchor, p.b.Last, p.b.HasLast = Foreign, now.last, true
		case r == nil:
			p.b.Anchor, p.b.Last, p.b.HasLast = Gone, now.last, true
		case r.box != h.box:
			p.b.Anchor = Foreign
		default:
			p.b.Anchor, p.b.AnchorTime = Present, h.w.time(r)
		}
	}
	first := uint64(0)
	if l := now.from(h.box, p.from, 1); len(l) > 0 {
		first = l[0].seq
	}
	if (h.w.oldest || p.from == 1) && p.b.Anchor != Present {
		p.b.Oldest = first
	}
	if len(p.b.Msgs) == 0 {
		p.b.Next = first
		if first == 0 {
			p.b.Last, p.b.HasLast = now.last, true
		}
	}
}
