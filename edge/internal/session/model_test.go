package session

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	modelSteps = flag.Int("steps", 1_000_000, "steps of the model test")
	modelSeed  = flag.Uint64("seed", 0, "seed of the one schedule to run; 0: from 1, until the steps are done")
)

var errTest = errors.New("the store does not answer")

// step is one random thing that happens to a host or to the store.
func (w *world) step() {
	r := w.rng
	h := w.hosts[r.IntN(len(w.hosts))]
	for n := range w.nodes {
		if w.nodes[n].offline && r.IntN(10) == 0 {
			w.reconnect(n)
			return
		}
	}
	if h.s == nil {
		switch r.IntN(4) {
		case 0, 1:
			h.up()
		case 2:
			h.storeMarks()
		default:
			w.publish(h)
		}
		return
	}
	if r.IntN(100) < w.pace {
		h.progress()
		return
	}
	switch n := r.IntN(100); {
	case n < 18:
		w.publish(h)
	case n < 38:
		if len(h.pipe) > 0 {
			h.deliverCopy()
		}
	case n < 48:
		h.storeMarks()
	case n < 60:
		if h.read != nil {
			h.serveRead(r.IntN(4) == 0, r.IntN(15) == 0)
		}
		if h.asks != nil {
			h.serveTail(r.IntN(8) == 0)
		}
	case n < 75:
		h.socket()
	case n < 79:
		h.interest = !h.on().offline
	case n < 81:
		if h.timer {
			h.timer = false
			h.event("timeout", func() { h.s.Timeout(h) })
		}
	case n < 84:
		if h.dirty {
			h.store()
		}
	default:
		if w.restless && r.IntN(2) == 0 {
			w.fault(h, 8+r.IntN(4)) // time, loss of the oldest, a copy of the store, its return
			return
		}
		w.fault(h, r.IntN(17))
	}
}

// progress takes the next step of an undisturbed course.
func (h *host) progress() {
	r := h.w.rng
	switch {
	case !h.interest && !h.on().offline:
		h.interest = true
	case h.owed > 0 && r.IntN(3) == 0:
		h.reattach()
	case len(h.marks) > 0 && !h.on().offline:
		h.storeMark()
	case len(h.pipe) > 0 && r.IntN(3) > 0:
		h.deliverCopy()
	case h.read != nil:
		h.serveRead(r.IntN(4) == 0, r.IntN(30) == 0)
	case h.asks != nil:
		h.serveTail(r.IntN(30) == 0)
	default:
		h.socket()
	}
}

// publish stores messages, for the host's box or another.
func (w *world) publish(h *host) {
	r := w.rng
	box, n := h.box, 1
	if !h.born {
		return // no sender knows the session's id yet
	}
	switch r.IntN(6) {
	case 0:
		box = 1000 // another mailbox
	case 1:
		n = 1 + r.IntN(6)
	}
	for range n {
		ttl := 0
		if r.IntN(w.mortal) == 0 {
			ttl = 1 + r.IntN(20)
		}
		w.st.put(box, 0, ttl)
	}
}

// socket moves a message on its way between node and client.
func (h *host) socket() {
	r := h.w.rng
	switch {
	case len(h.acks) > 0 && r.IntN(3) == 0:
		h.deliverAck()
	case len(h.pongs) > 0 && r.IntN(3) == 0:
		p := h.pongs[0]
		h.pongs = h.pongs[1:]
		h.event(fmt.Sprintf("pong %d", p), func() { h.s.Pong(p, h) })
	case len(h.sock) > 0:
		h.handle(1+r.IntN(len(h.sock)), true)
	}
	h.drained()
}

func (h *host) deliverAck() {
	a := h.acks[0]
	h.acks = h.acks[1:]
	h.event(fmt.Sprintf("ack %d", a), func() {
		if err := h.s.Ack(a, h); err != nil {
			h.w.fail(h, "ack %d: %v", a, err)
		}
	})
}

// drained calls Writable when it is owed.
func (h *host) drained() {
	if h.slow && len(h.sock) <= h.bound/2 {
		h.slow = false
		h.event("writable", func() { h.s.Writable(h) })
	}
}

// fault does one of the rarer things.
func (w *world) fault(h *host, n int) {
	r := w.rng
	switch n {
	case 0:
		h.park()
	case 1:
		w.log("box %d: crash", h.box)
		h.down()
	case 2:
		h.crashIn = 1 + r.IntN(12)
	case 3:
		h.event("reattach", func() { h.s.Reattach(false, h) })
	case 4:
		if !h.on().offline {
			w.cut(h.node)
		}
	case 5:
		h.event("refresh", func() { h.s.Refresh(h) })
	case 6:
		h.swept = append(h.swept, w.st.now.lastOf(h.box))
	case 7:
		if len(h.swept) > 0 {
			h.sweep()
		}
	case 8:
		w.st.advance(1 + r.IntN(4))
	case 9:
		if r.IntN(4) == 0 && !w.anyFresh() {
			w.st.shed(1 + r.IntN(8))
		}
	case 10:
		w.st.save()
	case 11:
		if w.rollbacks {
			w.goBack()
		}
	case 12: // a marker of a former or a next owner
		if h.born {
			w.marks++
			w.st.put(h.box, w.marks, 3)
		}
	case 13:
		h.event("pong of a keepalive", func() { h.s.Pong(0, h) })
	case 14:
		if len(h.marks) > 0 {
			h.loseMark()
		}
	case 16:
		h.reattach()
	case 15: // takeover: the old owner is told to release, a new one attaches
		h.park()
		h.up()
	}
}

// goBack restores the saved copy of the store, which costs every connection.
func (w *world) goBack() {
	at := w.st.clock
	if !w.st.rollback() {
		return
	}
	if w.st.log == 1 {
		w.first = at
	}
	w.log("ROLLBACK to %d", w.st.now.last)
	for n := range w.nodes {
		w.cut(n)
	}
}

// anyFresh reports whether a session's first marker is not back yet. Nothing is
// promised if all that was stored in that moment is thrown away at once.
func (w *world) anyFresh() bool {
	for _, h := range w.hosts {
		if h.s != nil && h.s.fresh {
			return true
		}
	}
	return false
}

// storeMarks lets a marker reach the store, if there is one and the way is open.
func (h *host) storeMarks() {
	if len(h.marks) > 0 && !h.on().offline {
		h.storeMark()
	}
}

func (h *host) sweep() {
	last := h.swept[0]
	h.swept = h.swept[1:]
	h.event(fmt.Sprintf("swept %d", last), func() { h.s.Swept(last, h) })
}

// drain ends all faults and lets everything settle; L.
func (w *world) drain() {
	w.log("DRAIN")
	w.draining, w.loss, w.lostPongs, w.st.bound = true, 0, 0, 100000
	for n := range w.nodes {
		if w.nodes[n].offline {
			w.reconnect(n)
		}
	}
	for range 3000 {
		quiet := true
		for _, h := range w.hosts {
			if !h.settle() {
				quiet = false
			}
		}
		if quiet {
			return
		}
	}
	for _, h := range w.hosts {
		if !h.settle() {
			w.fail(h, "L: does not drain: state %v cursor %d floor %d written %d", h.s.State(), h.s.Cursor(), h.s.confirm.floor, h.s.confirm.written)
		}
	}
}

// settle moves a host on by one of everything; true: nothing was left to do.
func (h *host) settle() bool {
	h.crashIn = 0
	switch {
	case h.s == nil:
		h.up()
	case !h.interest:
		h.interest = true
	case len(h.marks) > 0:
		h.storeMark()
	case len(h.pipe) > 0:
		h.deliverCopy()
	case h.owed > 0:
		h.reattach()
	case h.read != nil:
		h.serveRead(false, false)
	case h.asks != nil:
		h.serveTail(false)
	case len(h.sock) > 0:
		h.handle(len(h.sock), true)
		h.drained()
	case len(h.acks) > 0:
		h.deliverAck()
	case len(h.pongs) > 0:
		p := h.pongs[0]
		h.pongs = h.pongs[1:]
		h.event(fmt.Sprintf("pong %d", p), func() { h.s.Pong(p, h) })
	case h.slow:
		h.drained()
	case h.timer:
		h.timer = false
		h.event("timeout", func() { h.s.Timeout(h) })
	case h.s.State() == Live && (h.w.st.now.lastOf(h.box) > h.s.Cursor() || h.w.st.now.lastOf(h.box) < h.s.log.anchor):
		h.swept = []uint64{h.w.st.now.lastOf(h.box)}
		h.sweep()
	case h.class == Plain && h.s.confirm.floor < h.s.confirm.written:
		h.event("pong of a keepalive", func() { h.s.Pong(0, h) })
	case h.class == Acked && h.s.Unconfirmed() > 0:
		h.acks = append(h.acks, h.lastSeq)
	default:
		return h.s.State() == Live
	}
	return false
}

// verify checks I1.
func (w *world) verify() {
	for _, r := range w.st.all {
		if r.mark != 0 || r.box >= len(w.hosts) {
			continue
		}
		h := w.hosts[r.box]
		_, got := h.got[r.id]
		if !got && r.fate != expired && r.fate != undone && !h.covered(r) {
			w.fail(h, "I1: message %d (seq %d, log %d) is lost, fate %d", r.id, r.seq, r.log, r.fate)
		}
		if !got && r.fate == kept && !r.revived {
			w.fail(h, "I1: message %d (seq %d, log %d) is there and was skipped", r.id, r.seq, r.log)
		}
	}
	for _, h := range w.hosts {
		if h.s.confirm.floor != h.s.confirm.written {
			w.fail(h, "L: floor %d, written %d", h.s.confirm.floor, h.s.confirm.written)
		}
	}
}

// run simulates one schedule and returns what went wrong.
func run(seed uint64, trace *strings.Builder) (w *world) {
	w = newWorld(seed)
	w.trace = trace
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(failure); !ok {
				panic(e)
			}
		}
	}()
	for w.steps = 40 + w.rng.IntN(300); w.took < w.steps; w.took++ {
		w.step()
	}
	w.drain()
	w.verify()
	return w
}

// TestModel runs random schedules. One that fails is repeated with its seed, and
// told in full.
func TestModel(t *testing.T) {
	var counts [NumEvents]int
	var gaps [3]int
	seed, steps, schedules, repeats := uint64(1), 0, 0, 0
	if *modelSeed != 0 {
		seed = *modelSeed
	}
	began := time.Now()
	for ; steps < *modelSteps; seed++ {
		w := run(seed, nil)
		steps += w.took
		schedules++
		for i, n := range w.counts {
			counts[i] += n
		}
		for i, n := range w.gaps {
			gaps[i] += n
		}
		for _, h := range w.hosts {
			repeats += h.repeats
		}
		if w.failed != "" || *modelSeed != 0 {
			var trace strings.Builder
			if w = run(seed, &trace); w.failed != "" {
				t.Fatalf("seed %d: %s\n%s(again with -run TestModel -seed %d)", seed, w.failed, trace.String(), seed)
			}
			return
		}
	}
	t.Logf("%d schedules, %d steps, %v; gaps %v, repeats %d", schedules, steps, time.Since(began).Round(time.Millisecond), gaps, repeats)
	for i, n := range counts {
		t.Logf("%-18v %d", Event(i), n)
		if n == 0 && *modelSteps >= 500_000 {
			t.Errorf("%v never happened: the model does not test it", Event(i))
		}
	}
	for i, n := range gaps {
		if n == 0 && *modelSteps >= 500_000 {
			t.Errorf("no gap was told because of %v", Why(i))
		}
	}
}
