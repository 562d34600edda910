package wire

import (
	"math/bits"
	"time"
)

// A wheel keeps a loop's timers in four levels of 64 slots, each level 64 times as
// coarse as the one below. To start or stop a timer is a list operation, and a
// timer moves down a level at most three times. The runtime's own timers would
// cost an allocation and a heap operation for each connection, and fire on
// another goroutine.
//
// A tick is 2^23 ns, about 8.4 ms. Timers fire up to that much late, and never
// early. The farthest slot is 39 hours away; timers beyond wait there and move on
// from there.
const (
	tickShift   = 23
	tick        = time.Duration(1) << tickShift
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 4
)

type wheel struct {
	now   int64                          // last tick that has been run, or is being run
	used  [wheelLevels]uint64            // slots that may hold timers; cleared when they are run
	slots [wheelLevels][wheelSlots]timer // anchors of circular lists
}

// expirer has a timer. expire is called on the loop.
type expirer interface{ expire() }

// timer is an entry of a wheel, embedded in its owner.
type timer struct {
	next, prev *timer // nil: not running
	owner      expirer
	due        int64 // tick
}

func (t *timer) running() bool { return t.next != nil }

// ticksAfter rounds a duration up to whole ticks.
func ticksAfter(d time.Duration) int64 {
	if d <= 0 {
		return 1
	}
	return int64((d-1)>>tickShift) + 1 // d + tick may be beyond what a duration holds
}

// start makes t fire at tick due, or at the next one if that is past.
func (w *wheel) start(t *timer, due int64) {
	w.stop(t)
	t.due = max(due, w.now+1)
	w.link(t)
}

func (w *wheel) link(t *timer) {
	level, at := 0, max(t.due, w.now)
	switch delta := at - w.now; {
	case delta >= 1<<(4*wheelBits):
		level, at = 3, w.now+1<<(4*wheelBits)-1<<(3*wheelBits)
	case delta >= 1<<(3*wheelBits):
		level = 3
	case delta >= 1<<(2*wheelBits):
		level = 2
	case delta >= 1<<wheelBits:
		level = 1
	}
	slot := at >> (level * wheelBits) & (wheelSlots - 1)
	anchor := w.anchor(level, slot)
	t.next, t.prev = anchor, anchor.prev
	anchor.prev.next, anchor.prev = t, t
	w.used[level] |= 1 << slot
}

// anchor returns the anchor of a slot's list, which points to itself if the list is
// empty.
func (w *wheel) anchor(level int, slot int64) *timer {
	a := &w.slots[level][slot]
	if a.next == nil {
		a.next, a.prev = a, a
	}
	return a
}

// stop removes t. It does nothing if t is not running.
func (w *wheel) stop(t *timer) {
	if t.next == nil {
		return
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}

// advance fires the timers that are due up to tick now, but no more than budget. It
// reports whether these were all.
func (w *wheel) advance(now int64, budget int) bool {
	for {
		// First the timers of this tick that the last budget did not reach. No
		// timer is ever started for the tick that is being run.
		if budget = w.runSlot(budget); budget < 0 {
			return false
		}
		if w.now >= now {
			return true
		}
		if w.used[0] == 0 && w.now|(wheelSlots-1) < now {
			w.now |= wheelSlots - 1 // nothing before the next cascade
		}
		w.now++
		for level := 1; level < wheelLevels && w.now&(1<<(level*wheelBits)-1) == 0; level++ {
			w.cascade(level, w.now>>(level*wheelBits)&(wheelSlots-1))
		}
	}
}

// runSlot fires the timers of the present tick and returns the rest of the budget,
// or a negative number if it did not suffice.
func (w *wheel) runSlot(budget int) int {
	slot := w.now & (wheelSlots - 1)
	if w.used[0]&(1<<slot) == 0 {
		return budget
	}
	anchor := w.anchor(0, slot)
	for anchor.next != anchor {
		if budget == 0 {
			return -1
		}
		budget--
		t := anchor.next
		w.stop(t)
		t.owner.expire()
	}
	w.used[0] &^= 1 << slot
	return budget
}

// cascade moves the timers of a slot to finer ones.
func (w *wheel) cascade(level int, slot int64) {
	if w.used[level]&(1<<slot) == 0 {
		return
	}
	w.used[level] &^= 1 << slot
	anchor := w.anchor(level, slot)
	t := anchor.next
	anchor.next, anchor.prev = anchor, anchor
	for t != anchor {
		next := t.next
		w.link(t)
		t = next
	}
}

// next returns a tick before which no timer is due: that of the next slot in use,
// or of the next cascade.
func (w *wheel) next() int64 {
	if w.used[0] != 0 {
		ahead := bits.RotateLeft64(w.used[0], -int((w.now+1)&(wheelSlots-1)))
		return w.now + 1 + int64(bits.TrailingZeros64(ahead))
	}
	return w.now | (wheelSlots - 1) + 1
}

// Timer is a timer of a loop, for use on that loop's goroutine only. It can be
// embedded, and started again and again without allocating.
type Timer struct {
	F func() // runs on the loop; set before the first start

	t timer
	l *Loop
}

func (t *Timer) expire() {
	t.l.ran = true // F may need a Flush
	t.l.touch()
	t.F()
}

// AfterFunc runs f on the loop after d. It must be called on the loop.
func (l *Loop) AfterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{F: f}
	l.StartTimer(t, d)
	return t
}

// StartTimer starts t, also if it is running already: t.F runs after d. It must be
// called on the loop.
func (l *Loop) StartTimer(t *Timer, d time.Duration) {
	t.l, t.t.owner = l, t
	l.wheel.start(&t.t, l.ticks()+ticksAfter(d))
}

// Stop stops t, and reports whether it was running.
func (t *Timer) Stop() bool {
	if !t.t.running() {
		return false
	}
	t.l.wheel.stop(&t.t)
	return true
}
