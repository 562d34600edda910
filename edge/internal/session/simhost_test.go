package session

import (
	"fmt"
	"slices"
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
	rec  *record
	prev uint64
	lost bool // the connection was lost; what follows came over a new one
	gone bool // its time to live was over when it was handed on
}

type pendingMark struct {
	id   uint64
	keep bool
}

type pendingRead struct {
	from, anchor uint64
	max          int
	log          int  // that Msgs are of
	conn         int  // over which they came
	parts        int  // that Msgs will come in, one after another
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
	entryTime, seenTime   int64
	entryStart            uint64 // the first marker; 0: unknown, or of another log
	entryLog              int
	entryOld              [2]uint64 // positions of an old log that the client may name; see OldLog
	entryUnsure           bool      // it was written when the log could have gone back
	entrySure             int       // the last note that there was before the last entry of which that is not so
	entryAt               int       // the log of the last note that was there when it was written
	provedAt              int       // the same when this session was resumed
	suspect               bool      // … and that is later than the entry
	known                 bool      // the entry exists
	entering              bool      // … when the first marker is back
	lostFirst             bool      // its first marker
	born                  bool      // the first marker left before any sender knew the session's id: stored or lost

	s        *Session
	node     int
	reached  int  // connections of its node whose end, or beginning, the session knows of
	owed     int  // Reattach is, so often
	unsure   bool // it was attached with nothing to rely on
	guess    bool // it was attached with a position of which no time is known
	opts     Options
	crashIn  int // effects until the node dies; 0: it does not
	interest bool
	pipe     []item
	marks    []pendingMark
	read     *pendingRead
	asks     *pendingTail
	tail     *tail // of the holder before; nil: none
	tails    int   // how often it is asked for
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
	if h.read != nil || h.asks != nil {
		h.w.fail(h, "second outstanding read")
	}
	if from > h.s.Cursor()+1 {
		h.w.fail(h, "read from %d, cursor %d", from, h.s.Cursor())
	}
	if h.slow {
		h.w.fail(h, "read without room")
	}
	h.step()
	h.read = &pendingRead{from: from, anchor: anchor, max: max, parts: h.w.parts()}
}

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

// on is the host's node.
func (h *host) on() *node { return &h.w.nodes[h.node] }

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
	if s.Unconfirmed() > s.opts.window() {
		h.w.fail(h, "after %s: %d unconfirmed", name, s.Unconfirmed())
	}
	whole := s.confirm.seen <= s.log.cursor // else the marker above the floor was not met yet
	if (s.state == Behind || s.state == Live) && s.log.origin == knownOrigin && !s.log.claimed && !s.log.doubt && !s.log.aged() && whole {
		h.posLog = h.markLog
	}
	if h.entering && s.State() == Live && !h.lostFirst && h.w.st.log == 0 && s.confirm.floor == 0 {
		h.w.fail(h, "after %s: live without a first floor", name)
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
	h.pipe, h.interest, h.read, h.asks, h.timer, h.dirty, h.crashIn = nil, false, nil, nil, false, false, 0
	h.swept, h.owed = nil, 0
	for h.w.rng.IntN(2) == 0 && len(h.marks) > 0 {
		h.loseMark() // others still arrive at the store
	}
}

// park is an orderly end: the entry is written.
func (h *host) park() {
	h.linger()
	h.s.Stop()
	h.store()
	h.down()
}

// store writes the entry.
func (h *host) store() {
	h.dirty, h.known, h.entryAt = false, true, max(h.entryAt, h.noted())
	h.entryUnsure = h.s.Aged() || h.owed > 0 || h.suspect && h.s.Unproved() // owners call Disconnected before they write
	if !h.entryUnsure {
		h.entrySure = h.entryAt
	}
	h.entryFloor, h.entrySeen, h.entryLog = h.s.Floor(), h.s.Seen(), h.posLog
	h.entryTime, h.seenTime = h.s.FloorTime(), h.s.SeenTime()
	h.entryOld[0], h.entryOld[1] = h.s.OldLog()
}

// up attaches a session on some node.
func (h *host) up() {
	h.s = newSession(h.class, &h.opts)
	h.node = h.w.rng.IntN(len(h.w.nodes))
	if h.reached = h.on().conn; h.on().offline {
		h.reached++
	}
	h.connect()
	if !h.known {
		h.known, h.entering = true, true
		h.posLog, h.unsure, h.guess = h.w.st.log, false, false
		h.event("attach fresh", func() { h.s.Attach(Position{}, true, false, h) })
		return
	}
	p, log := h.position()
	h.posLog = log
	h.entering = false
	h.unsure = p.Seen == 0 || p.Floor == 0
	h.guess = p.FloorTime == 0 // if it is not there, it may be another log's
	p.Tail, h.tails = h.w.rng.IntN(4) > 0, h.w.rng.IntN(5)
	h.event(fmt.Sprintf("attach %+v", p), func() { h.s.Attach(p, false, false, h) })
}

// noted is the log of the last note that was there before what the host writes now, of
// which it does not know better than that its connection is the one that it has met.
func (h *host) noted() int { return h.on().logs[min(h.reached, h.on().conn)] }

// position is where a resume begins, and of which log that is.
func (h *host) position() (Position, int) {
	p, log := Position{Floor: h.entryFloor, FloorTime: h.entryTime, Seen: h.entrySeen}, h.entryLog
	p.Old = p.FloorTime == 0 || p.FloorTime <= h.on().since || h.on().offline
	p.SeenTime = h.seenTime
	names := h.class == Acked && h.hasSeq
	old := h.entryOld[0] <= h.lastSeq && h.lastSeq <= h.entryOld[1]
	unproved := p.Old && (names && h.lastSeq != p.Floor || p.Floor != 0 && p.FloorTime == 0)
	if h.entryOld[1] != 0 {
		unproved = names && !old
	}
	h.suspect = unproved && h.w.noted > h.entrySure
	h.provedAt, h.entryAt, h.entryUnsure = h.w.noted, h.w.noted, h.suspect // the claim is a write
	if !h.suspect {
		h.entrySure = h.w.noted
	}
	if h.entryOld[1] != 0 {
		p = Position{Old: true, Back: old || !names}
		if names {
			p.Floor = h.lastSeq
		}
		return p, log
	}
	if !names || h.lastSeq == p.Floor {
		return p, log
	}
	if h.lastSeq < p.Floor {
		p.Old = true
		if p.Seen, p.SeenTime = h.entryStart, 0; p.Seen > h.lastSeq {
			p.Seen = 0
		}
	}
	p.Floor, p.FloorTime = h.lastSeq, 0
	return p, min(log, h.seqLog)
}

// cut ends a node's connection. Its sessions learn of it before anything comes over
// the next one; some copies of this one may come still later.
func (w *world) cut(n int) {
	if w.nodes[n].offline {
		return
	}
	w.nodes[n].offline = true
	w.dropTails(n)
	w.log("node %d: cut", n)
	for _, h := range w.hosts {
		if h.s != nil && h.node == n {
			h.interest = false
			at := max(0, len(h.pipe)-w.rng.IntN(3))
			h.pipe = slices.Insert(h.pipe, at, item{lost: true})
		}
	}
}

// reconnect gives a node a new connection. Its sessions attach again at some time
// after that.
func (w *world) reconnect(n int) {
	at := &w.nodes[n]
	at.offline, at.since, at.logs = false, w.st.clock, append(at.logs, w.st.log)
	w.noted = w.st.log
	at.conn++
	w.log("node %d: connected", n)
	for _, h := range w.hosts {
		if h.s != nil && h.node == n {
			h.owed++
		}
	}
}

// reattach lets the session attach again that is to do so.
func (h *host) reattach() {
	if h.owed > 0 && !slices.ContainsFunc(h.pipe, func(it item) bool { return it.lost }) {
		h.owed = 0
		h.event("reattach (reconnect)", func() { h.s.Reattach(false, h) })
	}
}
