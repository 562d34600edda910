package session

import (
	"fmt"
	"time"
)

// frame is what waits in a socket's queue.
type frame struct {
	rec  *record // a message
	gap  *Gap    // or a gap
	ping uint64  // or a barrier
	log  int     // that it belongs to
	at   int     // that was being read
	seq  uint64
	prev uint64
}

// item is what waits in a live subscription.
type item struct {
	rec       *record
	prev      uint64
	reconnect bool // everything after it came over a new connection
}

type pendingMark struct {
	id   uint64
	keep bool
}

type pendingRead struct {
	from, anchor uint64
	max          int
	log          int  // that Msgs are of
	served       bool // Msgs are in hand, the leader has not been asked
	answered     bool
	b            Batch
}

// crashed is panicked with when a node dies in the middle of an event.
type crashed struct{}

// host is the owner of a box's session: a node while up, the directory entry,
// the socket, and the client.
type host struct {
	w     *world
	box   int
	class Class

	entryFloor, entrySeen uint64
	entryStart            uint64 // the first marker; 0: unknown, or of another log
	entryLog              int
	known                 bool // the entry exists
	entering              bool // … when the first marker is back
	born                  bool // the first marker left before any sender knew the session's id: stored or lost

	s        *Session
	opts     Options
	crashIn  int // effects until the node dies; 0: it does not
	interest bool
	pipe     []item
	marks    []pendingMark
	read     *pendingRead
	timer    bool
	dirty    bool
	markLog  int // log of the marker that came back last
	posLog   int // log that the position was last compared with
	readLog  int // log that this event brings messages of
	swept    []uint64

	sock  []frame
	bound int
	slow  bool // Writable is owed
	acks  []uint64
	pongs []uint64

	client
}

func (h *host) NextMark() uint64 { h.step(); h.w.marks++; return h.w.marks }

func (h *host) Mark(id uint64, keep bool) {
	h.w.log("  box %d: mark %d keep %v", h.box, id, keep)
	h.step()
	h.marks = append(h.marks, pendingMark{id, keep})
}

func (h *host) Read(from, anchor uint64, max int) {
	h.w.log("  box %d: read from %d anchor %d max %d", h.box, from, anchor, max)
	if h.read != nil {
		h.w.fail(h, "second outstanding read")
	}
	if from > h.s.Cursor()+1 {
		h.w.fail(h, "read from %d, cursor %d", from, h.s.Cursor())
	}
	if h.slow {
		h.w.fail(h, "read without room")
	}
	h.step()
	h.read = &pendingRead{from: from, anchor: anchor, max: max}
}

func (h *host) StopReading() { h.step() }

func (h *host) Timer(d time.Duration) { h.step(); h.timer = d > 0 }

func (h *host) Write(m Out) bool {
	h.w.log("  box %d: write %d prev %d", h.box, m.Seq, m.Prev)
	h.step()
	r := h.w.byMessage(h.box, m.Payload)
	if r.mark != 0 {
		h.w.fail(h, "marker written to the client")
	}
	if r.box != h.box {
		h.w.fail(h, "I8: message of box %d written", r.box)
	}
	if r.seq != m.Seq {
		h.w.fail(h, "message %d written as %d", r.seq, m.Seq)
	}
	return h.queue(frame{rec: r, seq: m.Seq, prev: m.Prev})
}

func (h *host) Gap(g Gap) bool {
	h.step()
	h.w.gap(h, g)
	if g.Why == Rollback {
		h.entryStart = 0
	}
	if h.class == Plain {
		h.told(g) // counted at once; the frame only marks the place
		h.sock = append(h.sock, frame{gap: &g})
		return true
	}
	return h.queue(frame{gap: &g, seq: g.Seq, prev: g.Prev})
}

func (h *host) queue(f frame) bool {
	f.at = h.readLog
	if f.log = h.markLog; f.rec != nil {
		f.log = f.rec.log
	}
	h.sock = append(h.sock, f)
	if len(h.sock) >= h.bound {
		h.slow = true
		return false
	}
	return true
}

func (h *host) Ping(token uint64) {
	h.w.log("  box %d: ping %x", h.box, token)
	h.step()
	if h.class != Plain {
		h.w.fail(h, "barrier for an acked client")
	}
	h.sock = append(h.sock, frame{ping: token})
}

func (h *host) Attached() bool {
	h.w.log("  box %d: attached", h.box)
	h.step()
	if h.s.State() != Attaching {
		h.w.fail(h, "attached while %v", h.s.State())
	}
	return true
}

func (h *host) Dirty() { h.step(); h.dirty = true }

func (h *host) State(old, new State) {
	h.w.log("  box %d: %v", h.box, new)
	h.step()
	if old == new || new == Stopped || new == Idle {
		h.w.fail(h, "state %v to %v", old, new)
	}
}

func (h *host) Count(e Event) { h.w.counts[e]++ }

// step dies if it is time.
func (h *host) step() {
	if h.crashIn > 0 {
		if h.crashIn--; h.crashIn == 0 {
			panic(crashed{})
		}
	}
}

// event runs a session event, and survives the death of the node in it.
func (h *host) event(name string, f func()) {
	if h.s == nil {
		return
	}
	defer func() {
		switch e := recover().(type) {
		case nil:
			h.check(name)
		case crashed:
			h.w.log("box %d: crash in %s", h.box, name)
			h.down()
		default:
			panic(e)
		}
	}()
	h.w.log("box %d: %s", h.box, name)
	f()
}

// check holds the session to its bounds after each event.
func (h *host) check(name string) {
	s := h.s
	if s == nil {
		return
	}
	if s.log.held.len() > s.opts.heldMessages() || s.log.held != nil && s.log.held.bytes > s.opts.heldBytes() {
		h.w.fail(h, "after %s: %d copies held", name, s.log.held.len())
	}
	if over := s.Unconfirmed() - s.opts.window(); over > 0 && int(s.confirm.rolled) < over {
		h.w.fail(h, "after %s: %d unconfirmed", name, s.Unconfirmed())
	}
	if (s.state == Behind || s.state == Live) && !s.log.claimed && !s.log.doubt {
		h.posLog = h.markLog
	}
	if h.entering && s.confirm.floor != 0 {
		h.entering, h.entryStart = false, s.confirm.floor
		h.store()
	}
	if s.confirm.floor > s.confirm.written {
		h.w.fail(h, "after %s: floor %d, written %d", name, s.confirm.floor, s.confirm.written)
	}
	if s.State() == Live && (s.log.held != nil || s.reader.state != notReading || s.log.missed > s.log.cursor) {
		h.w.fail(h, "after %s: live, but not caught up", name)
	}
}

// down is the end of the node's part: session, subscription, socket.
func (h *host) down() {
	// What the kernel had accepted may still reach the client.
	n := h.w.rng.IntN(len(h.sock) + 1)
	h.handle(n, false)
	h.s, h.sock, h.slow, h.acks, h.pongs = nil, nil, false, nil, nil
	h.pipe, h.interest, h.read, h.timer, h.dirty, h.crashIn = nil, false, nil, false, false, 0
	h.swept = nil
	for h.w.rng.IntN(2) == 0 && len(h.marks) > 0 {
		h.loseMark() // others still arrive at the store
	}
}

// park is an orderly end: the entry is written.
func (h *host) park() {
	h.s.Stop()
	h.store()
	h.down()
}

// store writes the entry.
func (h *host) store() {
	h.entryFloor, h.entrySeen, h.entryLog, h.known = h.s.Floor(), h.s.Seen(), h.posLog, true
	h.dirty = false
}

// up attaches a session on some node.
func (h *host) up() {
	h.s = newSession(h.class, &h.opts)
	h.connect()
	if !h.known {
		h.known, h.entering = true, true
		h.event("attach fresh", func() { h.s.Attach(0, 0, true, false, h) })
		return
	}
	floor, seen, log := h.entryFloor, h.entrySeen, h.entryLog
	if h.class == Acked && h.hasSeq {
		if h.lastSeq < floor {
			if seen = h.entryStart; seen > h.lastSeq {
				seen = 0
			}
		}
		floor = h.lastSeq
		log = min(log, h.seqLog)
	}
	h.posLog = log
	if h.w.st.log != log {
		h.blind(max(floor, seen), log)
	}
	h.entering = false
	if seen == 0 {
		h.w.st.lossy[h.box] = true // it has nothing to rely on
	}
	h.event(fmt.Sprintf("attach %d %d", floor, seen), func() { h.s.Attach(floor, seen, false, false, h) })
}

// blind excuses a loss that cannot be noticed: while only sequences were known of the
// session's position, the store went back and then stored another message of
// the same mailbox under one of them, or lost what was there.
func (h *host) blind(pos uint64, log int) {
	h.blinds = append(h.blinds, blindSpot{pos, log})
}
