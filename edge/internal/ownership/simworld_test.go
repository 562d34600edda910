package ownership

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"hydrant/bus/scheme"
)

// world is one simulated run: nodes, a directory, a mailbox and one client, in
// virtual time. All that is random comes from the seed.
type world struct {
	rng *rand.Rand
	sim
	setup

	nodes  []*node // that are up
	all    []*node // that ever were
	ids    uint64  // last id given to a holder or to a marker
	dir    directory
	box    mailbox
	client client
	check  checker
	calm   bool  // no faults any more
	spared int64 // until then nothing is disturbed
	counts *counts
	trace  *strings.Builder // nil: no trace

	without rule // that is not kept
}

// setup is drawn once for each schedule. Losses and the like are in percent.
type setup struct {
	numbered bool  // the client numbers its sockets
	loops    int   // of a node
	length   int64 // ms until the faults end
	pace     int64 // ms between the client's doings
	faults   int64 // ms between faults of nodes; 0: none
	ttl      int64 // of markers, ms
	halfOpen int   // sockets that end without a word
	stale    int   // reads that a lagging replica answers
	slow     int   // what is on its way for long
	spite    int   // moments in between that are disturbed

	lostAsks, lostWrites, lostReads, lostCopies, lostMarks int
	freezes, cuts, kills                                   int   // how often each is among the faults of nodes
	longest                                                int64 // of these, ms
	stopped                                                int   // clocks of frozen nodes
	fate                                                   int   // of what is lost; fateUsual: one or the other

	lies   int   // parts of tails that are wrong
	narrow int   // messages behind which the socket is full
	hops   int   // how often a client goes elsewhere at once
	rests  int   // … or else leaves for a while
	away   int64 // ms until a client comes back at the latest
	quiet  int64 // ms between messages at the most
}

// rule is one of delivery, which the machine relies on. A test does without it.
type rule uint8

const (
	noRule         rule = iota
	tailsHaveLinks      // a copy out of a tail continues the cursor
	tailsFollowAll      // a tail begins at the floor only if the client has confirmed all
	tailsAreYoung       // a tail is used for a while after the welcome only
	numRules
)

// String returns the name used in tests.
func (r rule) String() string {
	return [numRules]string{"no rule", "tails have links", "tails follow all", "tails are young"}[r]
}

// keeps reports whether a rule is kept.
func (w *world) keeps(r rule) bool { return w.without != r }

// sim is a queue of events, ordered by time.
type sim struct {
	now   int64 // ms
	order uint64
	queue []event
	steps int
}

type event struct {
	at    int64
	order uint64
	node  *node  // where it happens; nil: elsewhere
	epoch int    // of the node's connection over which it comes; 0: it does not come from NATS
	do    func() // what happens
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.order < o.order }

// push and pop are those of a binary heap.
func (s *sim) push(e event) {
	s.order++
	e.order = s.order
	s.queue = append(s.queue, e)
	q := s.queue
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if !q[i].before(&q[up]) {
			return
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
}

func (s *sim) pop() event {
	q := s.queue
	e, n := q[0], len(q)-1
	q[0], q[n] = q[n], event{}
	s.queue = q[:n]
	for i := 0; ; {
		low := 2*i + 1
		if low >= n {
			return e
		}
		if low+1 < n && q[low+1].before(&q[low]) {
			low++
		}
		if !q[low].before(&q[i]) {
			return e
		}
		q[i], q[low] = q[low], q[i]
		i = low
	}
}

// failure is panicked with when a check fails.
type failure struct{ text string }

func (w *world) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.log("FAIL %s", text)
	panic(failure{text})
}

func (w *world) log(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%6d  ", w.now)
		fmt.Fprintf(w.trace, format+"\n", args...)
	}
}

func (w *world) percent(n int) bool { return w.rng.IntN(100) < n }

// between draws from a range.
func (w *world) between(low, high int64) int64 { return low + w.rng.Int64N(high-low+1) }

// newWorld draws a configuration.
func newWorld(seed uint64, c *counts) *world { return newWorldOf(seed, -1, c) }

// newWorldOf draws one with a kind of trouble; below 0: with any, or none.
func newWorldOf(seed uint64, trouble int, c *counts) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 11)), counts: c}
	w.now = 1
	few := func(n ...int) int { return few(w.rng, n...) }
	w.setup = setup{
		numbered: w.percent(70), loops: few(1, 2), length: w.between(1000, 9000),
		pace: int64(few(100, 400, 1500, 4000)), faults: int64(few(0, 150, 500, 2000)),
		ttl: int64(few(200, 1000, 5000)), halfOpen: few(0, 20, 60, 100), stale: few(0, 0, 20, 60), slow: few(0, 5, 30), spite: few(0, 5, 50),
		lostAsks: few(0, 10, 60), lostWrites: few(0, 5, 40), lostReads: few(0, 5, 25), lostCopies: few(0, 0, 3, 40), lostMarks: few(0, 0, 10, 60),
		freezes: few(0, 3, 3), cuts: few(0, 3, 3), kills: few(0, 1), longest: int64(few(150, 1200, 3500)), fate: few(0, 0, 2, 4), stopped: 30,
		lies: few(0, 0, 30), narrow: few(0, 3, 15), hops: 60, rests: 30, away: 300, quiet: 800,
	}
	if kind := w.rng.IntN(numTroubles); trouble < 0 {
		trouble = kind
	}
	w.concentrate(trouble)
	w.dir.w, w.box.w, w.client.w, w.check.w = w, w, w, w
	for range 2 + w.rng.IntN(2) {
		w.boot()
	}
	w.client.begin()
	if w.setup.faults > 0 {
		w.later(w.between(0, w.setup.faults), w.fault)
	}
	return w
}

// concentrate lets half of the schedules try one kind of trouble.
func (w *world) concentrate(kind int) {
	switch kind {
	case 0: // doubt
		w.slow, w.spite, w.halfOpen, w.lostAsks = 30, 50, 100, 40
	case 1: // late acknowledgements
		w.lostWrites, w.fate, w.lostAsks, w.halfOpen, w.faults, w.pace = 60, fateAnsweredLate, 60, 100, 0, 1500
	case 2: // short cuts of the connection, and late acknowledgements
		w.lostWrites, w.fate, w.spite, w.halfOpen, w.faults, w.longest = 40, fateAnsweredLate, 50, 100, 500, 150
		w.freezes, w.cuts, w.kills, w.lostAsks, w.pace = 0, 9, 0, 0, 400
	case 3: // stalls of whole machines
		w.spite, w.halfOpen, w.faults, w.longest, w.lostAsks, w.pace = 50, 100, 500, 3500, 40, 1500
		w.freezes, w.cuts, w.kills, w.stopped = 9, 0, 0, 80
	case 4: // lost markers
		w.lostMarks, w.lostCopies, w.lostAsks, w.halfOpen, w.faults, w.lostWrites, w.pace = 60, 40, 60, 100, 0, 0, 1500
	case troubleTails, troubleSlow, troubleStills:
		w.tails(kind)
	}
}

// Kinds of trouble that tails are in.
const (
	troubleTails  = 5 + iota // what is usual
	troubleSlow              // clients that read slowly, and whose nodes are not reached
	troubleStills            // nodes that stand still
	numTroubles   = 13       // or none
)

// tails lets clients leave for a while, and be sent much.
func (w *world) tails(kind int) {
	w.away, w.quiet, w.pace, w.hops, w.rests, w.length = 1500, 150, 1500, 30, 90, w.between(4000, 12_000)
	w.lostWrites, w.lostMarks, w.stale = 0, 0, 0
	switch kind {
	case troubleTails:
		w.halfOpen, w.narrow, w.lostCopies, w.slow = few(w.rng, 0, 40), few(w.rng, 3, 15), few(w.rng, 0, 5, 20), few(w.rng, 0, 5)
		w.faults, w.freezes, w.cuts, w.kills = few(w.rng, int64(0), 2000), 1, 1, few(w.rng, 0, 1)
	case troubleSlow:
		w.halfOpen, w.narrow, w.lostCopies, w.slow, w.faults, w.lostAsks, w.hops, w.pace = 60, 20, 20, 0, 0, 90, 70, 1500
	case troubleStills:
		w.halfOpen, w.narrow, w.lostCopies, w.slow, w.faults, w.lostReads = 20, 3, 3, 30, 300, 20
		w.freezes, w.cuts, w.kills, w.longest, w.stopped, w.spite, w.hops = 9, 0, 0, 1200, 0, 20, 50
	}
}

// few draws one of some values.
func few[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// later lets something happen outside of the nodes.
func (w *world) later(d int64, do func()) { w.push(event{at: w.now + d, do: do}) }

// delay is how long an answer, or a question, is on its way.
func (w *world) delay() int64 {
	switch {
	case w.percent(w.slow):
		return w.between(10, 140)
	default:
		return w.between(1, 4)
	}
}

// node is one process. It dies with its id.
type node struct {
	w       *world
	id      scheme.NodeID
	epoch   int // counts the connections to NATS, from 1
	cut     bool
	frozen  bool
	dead    bool
	stash   []event // came while it was frozen
	holders []*holder
	given   map[uint64]scheme.Position // what was answered for holders that are gone
	kept    []*kept
	fifo    int64 // when the last copy arrives
	since   int64 // when it stopped
	clock   bool  // so did its clock
	behind  int64 // is its clock, in ms
}

// time is the node's clock.
func (n *node) time() time.Duration { return time.Duration(n.w.now-n.behind) * time.Millisecond }

// boot starts a process.
func (w *world) boot() {
	n := &node{w: w, id: scheme.NodeID(fmt.Sprintf("node%d", len(w.all)+1)), epoch: 1, given: map[uint64]scheme.Position{}}
	w.nodes, w.all = append(w.nodes, n), append(w.all, n)
	w.log("%s is up", n.id)
}

func (w *world) nodeOf(id scheme.NodeID) *node {
	for _, n := range w.all {
		if n.id == id {
			return n
		}
	}
	return nil
}

// after lets something happen on a node, unless it dies.
func (n *node) after(d int64, do func()) { n.w.push(event{at: n.w.now + d, node: n, do: do}) }

// leave takes something from the node to the servers. It is lost if the node is
// not connected, and waits while the node stands still.
func (n *node) leave(do func()) {
	w := n.w
	n.after(w.rng.Int64N(2), func() {
		if !n.cut {
			w.later(w.delay(), do)
		}
	})
}

// arrive brings something from the servers to the node, over its connection.
func (n *node) arrive(d int64, do func()) {
	if !n.cut && !n.dead {
		n.w.push(event{at: n.w.now + d, node: n, epoch: n.epoch, do: do})
	}
}

// step lets the next event happen. False: there is none.
func (w *world) step() bool {
	if len(w.queue) == 0 {
		return false
	}
	e := w.pop()
	w.now = max(w.now, e.at)
	w.steps++
	switch n := e.node; {
	case n == nil:
		e.do()
	case n.dead, e.epoch != 0 && (n.cut || e.epoch != n.epoch):
	case n.frozen:
		n.stash = append(n.stash, e)
	default:
		e.do()
	}
	return true
}

// request asks something of the servers. serve happens there, and returns what
// happens when the answer is back; fail is the end of the requester's patience,
// after which an answer may still come.
func (n *node) request(lost int, serve func() func(), fail func()) {
	w := n.w
	done := false
	patience := w.between(1500, 3000)
	fate := fateUsual
	if !w.calm && w.percent(lost) {
		if fate = w.fate; fate == fateUsual {
			fate = w.rng.IntN(numFates)
		}
		patience = w.between(20, 3000)
	}
	n.after(patience, func() {
		if !done {
			fail()
		}
	})
	n.leave(func() {
		late, back := int64(0), int64(0)
		switch fate {
		case fateLost:
			return
		case fateLate: // its sender may have given up
			late = w.between(1, 3000)
		case fateAnsweredLate:
			back = w.between(1, 2000)
		}
		w.later(late, func() {
			answer := serve()
			if fate == fateUnanswered {
				return
			}
			w.later(back, func() {
				n.arrive(w.delay(), func() { done = true; answer() })
			})
		})
	})
}

// What becomes of a request.
const (
	fateUsual = iota
	fateLost
	fateLate
	fateUnanswered
	fateAnsweredLate
	numFates
)
