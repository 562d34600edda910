package shard

import (
	"container/heap"
	"context"
	"iter"
	"testing"
	"time"

	"hydrant/bus/scheme"
)

// lab is a world of nodes around one NATS, all of it in memory, on the test's own
// goroutine and with a clock of its own: nothing happens but in run, advance and
// until, and always in the same order. What takes no time happens at the same
// moment, first come, first served. Files lab_*_test.go hold its parts.
type lab struct {
	t     testing.TB
	start time.Time
	now   time.Duration // since start
	queue agenda
	last  uint64 // number of the last event

	frames int // messages that clients were sent
	tokens map[scheme.SID]string

	running *task // nil: none
	tasks   map[*task]struct{}
	stopped context.Context
	stop    context.CancelFunc

	nats *broker

	passBytes int // that a node keeps for crowds; 0: the default
	nodes     []*testNode
}

// begun is how long everything has run when a test begins: moments that no uptime
// reaches in practice, such as zero, mean something else to the machines.
const begun = time.Hour

// patience is how long a test waits for a condition, on the lab's clock.
const patience = 20 * time.Second

func newLab(t testing.TB) *lab {
	l := &lab{t: t, start: time.Date(2026, 1, 12, 20, 0, 0, 0, time.UTC), now: begun, tasks: make(map[*task]struct{}), tokens: make(map[scheme.SID]string)}
	l.stopped, l.stop = context.WithCancel(context.Background())
	l.nats = newBroker(l)
	t.Cleanup(l.close)
	return l
}

// close ends what still waits.
func (l *lab) close() {
	l.stop()
	l.queue = nil
	for t := range l.tasks {
		t.stop()
	}
}

// clock is the time of day.
func (l *lab) clock() time.Time { return l.start.Add(l.now) }

// happening is something that happens at a time.
type happening struct {
	at     time.Duration
	number uint64
	f      func()
}

// stop implements part of [Timer].
func (e *happening) stop() bool {
	waits := e.f != nil
	e.f = nil
	return waits
}

// after has something happen later.
func (l *lab) after(d time.Duration, f func()) *happening {
	l.last++
	e := &happening{at: l.now + max(d, 0), number: l.last, f: f}
	heap.Push(&l.queue, e)
	return e
}

// step lets the next thing happen that is due before a time, and reports whether
// there was one.
func (l *lab) step(before time.Duration) bool {
	for len(l.queue) > 0 && l.queue[0].at <= before {
		e := heap.Pop(&l.queue).(*happening)
		if f := e.f; f != nil {
			e.f = nil
			l.now = e.at
			f()
			return true
		}
	}
	return false
}

// endless is so many steps that nothing but a circle has as many.
const endless = 1 << 22

// run lets everything happen that is due now.
func (l *lab) run() { l.advance(0) }

// advance lets time pass.
func (l *lab) advance(d time.Duration) {
	l.t.Helper()
	end := l.now + d
	for n := 0; l.step(end); n++ {
		if n == endless {
			l.t.Fatal("there is no end")
		}
	}
	l.now = end
}

// until lets time pass until a condition is met, and fails if it is not.
func (l *lab) until(what string, met func() bool) {
	l.t.Helper()
	for end := l.now + patience; !met(); {
		if !l.step(end) {
			l.t.Fatalf("in vain: %s", what)
		}
	}
}

// agenda is what is to happen: a heap, the next first.
type agenda []*happening

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].number < a[j].number
}
func (a *agenda) Push(x any) { *a = append(*a, x.(*happening)) }
func (a *agenda) Pop() any {
	n := len(*a) - 1
	x := (*a)[n]
	*a = (*a)[:n]
	return x
}

// task is a job that may wait. It is a coroutine: it runs only while the lab
// waits for it.
type task struct {
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
}

// spawn begins a task.
func (l *lab) spawn(f func()) {
	t := &task{}
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		f()
	})
	l.tasks[t] = struct{}{}
	l.wake(t)
}

// wake lets a task go on until it waits again.
func (l *lab) wake(t *task) {
	before := l.running
	l.running = t
	_, more := t.resume()
	l.running = before
	if !more {
		delete(l.tasks, t)
	}
}

// sleep lets the running task wait. False: the test is over.
func (l *lab) sleep(d time.Duration) bool {
	if d <= 0 {
		return l.stopped.Err() == nil
	}
	t := l.running
	l.after(d, func() { l.wake(t) })
	return t.yield(struct{}{})
}
