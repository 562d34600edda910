package wire

import (
	"iter"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// readSize is the size of a loop's read buffer. It bounds the bytes that one
	// connection brings in one turn, and those that a Pause leaves in memory.
	readSize = 64 << 10
	// frameBudget bounds the frames of one connection in one turn, so that the
	// others have theirs in between.
	frameBudget = 512
	// turnBudget bounds the tasks, and the timers, of one iteration, so that
	// sockets have their turn when thousands of either come at once.
	turnBudget = 512
	// busyTurns is the number of iterations after which the loop yields to the
	// process's other goroutines: a busy loop may not sleep for a long time.
	busyTurns = 16
)

// poller is the part of a loop that sleeps.
type poller interface {
	// arm makes the next wait end at due, unless it would end earlier anyway.
	arm(due time.Time, now time.Time)
	// wait returns when a descriptor is ready, wake was called, or the armed
	// time has come; at once if !block. It may return for no reason.
	wait(block bool) error
	// dispatch passes the events that wait has found to the loop.
	dispatch(l *Loop)
	// wake ends the current wait or the next one. Any goroutine may call it.
	wake()
	close() error
}

// Loop is an event loop: one goroutine that owns its connections, their timers and
// buffers. Post, PostWait and Index may be called from any goroutine; all other
// methods must be called on the loop's own. Its fields are many because it is
// the only owner of all that its connections share.
type Loop struct {
	// Immutable after NewServer.
	srv     *Server
	o       *Options
	h       Handler
	poll    poller
	base    time.Time // ticks and mono count from here
	index   int
	beat    time.Duration // longest sleep
	pings   int64         // PingInterval in ticks
	stuck   int64         // WriteTimeout in ticks
	late    int64         // MessageTimeout in ticks
	message price
	bytes   price
	control price

	// Any goroutine.
	inbox  inbox
	asleep atomic.Bool
	stats  loopStats
	done   chan struct{} // closed when the loop has ended

	// Owned by the loop's goroutine.
	now      time.Time     // start of this iteration
	wall     int64         // its wall clock, in nanoseconds
	mono     time.Duration // since base, when the loop was last seen running
	wheel    wheel
	conns    []*Conn           // by slot; nil: free
	free     []uint32          // free slots
	live     int               // connections
	acked    map[uint32]uint32 // by slot: bytes that a slow peer had received when last asked
	lastGen  uint32
	again    []*Conn // have more to do, without an event
	spare    []*Conn // the other half of again
	dirty    []*Conn // have something to write
	ended    []ending
	buf      []byte // all reads go here
	buffers  buffers
	count    counters
	inflater inflater
	trimmed  time.Duration // mono of the last trim
	tasks    []task        // taken from the inbox and not run yet
	busy     int           // iterations since the loop last stood aside
	behind   bool          // timers are due that did not run yet
	ran      bool          // something has run since the last Flush
	stopping bool
}

// ending is a call of Closed that is due.
type ending struct {
	c *Conn
	r CloseReason
}

func newLoop(s *Server, index int, p poller) *Loop {
	l := &Loop{
		srv: s, o: &s.o, h: s.h, poll: p, index: index,
		base:    time.Now(),
		beat:    s.o.StallLimit / 3,
		stuck:   ticksAfter(s.o.WriteTimeout),
		late:    ticksAfter(s.o.MessageTimeout),
		message: newPrice(s.o.MessageRate, s.o.MessageBurst),
		bytes:   newPrice(s.o.ByteRate, s.o.ByteBurst),
		control: newPrice(s.o.ControlRate, s.o.ControlBurst),
		inbox:   inbox{limit: s.o.Inbox},
		done:    make(chan struct{}),
		buf:     make([]byte, readSize),
		buffers: buffers{budget: &s.memory},
	}
	if s.o.PingInterval > 0 {
		l.pings = ticksAfter(s.o.PingInterval)
	}
	l.now, l.wall = l.base, l.base.UnixNano()
	return l
}

// Index returns the loop's place in Server.Loops.
func (l *Loop) Index() int { return l.index }

// Now returns the time at which the current iteration began.
func (l *Loop) Now() time.Time { return l.now }

// Open yields the loop's open connections, in no order. The caller may close them
// meanwhile.
func (l *Loop) Open() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for i := 0; i < len(l.conns); i++ {
			if c := l.conns[i]; c != nil && c.state == stateOpen && !yield(c) {
				return
			}
		}
	}
}

// ticks returns the time in the unit of the wheel.
func (l *Loop) ticks() int64 { return int64(l.mono >> tickShift) }

func (l *Loop) run() {
	defer close(l.done)
	for !l.stopping {
		l.sleep()
		l.poll.dispatch(l)
		l.runTasks()
		l.runAgain()
		l.touch()
		l.behind = !l.wheel.advance(l.ticks(), turnBudget)
		l.finish()
	}
	l.teardown()
}

// sleep waits for work, unless some is left.
func (l *Loop) sleep() {
	block := len(l.again) == 0 && len(l.ended) == 0 && len(l.dirty) == 0 && len(l.tasks) == 0 && !l.behind
	if block {
		due := l.base.Add(time.Duration(l.wheel.next()) << tickShift)
		if beat := l.now.Add(l.beat); beat.Before(due) {
			due = beat
		}
		l.poll.arm(due, l.now)
		// A Post from here on wakes the loop; the check below finds an earlier one.
		l.asleep.Store(true)
		if block = l.inbox.empty(); !block {
			l.asleep.Store(false)
		}
	}
	if err := l.poll.wait(block); err != nil {
		// The loop's own descriptor is broken, so it cannot go on.
		panic("wire: poller: " + err.Error())
	}
	if block {
		l.asleep.Store(false)
	}
	l.readClocks()
	if l.busy++; l.busy >= busyTurns {
		l.busy = 0
		runtime.Gosched()
	}
}

func (l *Loop) wake() {
	if l.asleep.Load() && l.asleep.CompareAndSwap(true, false) {
		l.poll.wake()
	}
}

// ready handles an event of a descriptor. The generation tells a stale event from
// one for the connection that has the slot now.
func (l *Loop) ready(slot, gen uint32, readable, writable, hangup bool) {
	if int(slot) >= len(l.conns) {
		return
	}
	c := l.conns[slot]
	if c == nil || c.gen != gen {
		return
	}
	l.ran = true
	if writable {
		l.soil(c)
	}
	if hangup && !c.has(flagHangup) {
		c.set(flagHangup)
		if c.has(flagPaused) && c.has(flagOpened) {
			l.h.Hangup(c)
			if c.state == stateClosed || c.gen != gen {
				return
			}
		}
	}
	if readable || hangup {
		c.set(flagReadable)
		l.turn(c)
	}
}

func (l *Loop) runTasks() {
	if len(l.tasks) == 0 {
		l.tasks = l.inbox.take()
	}
	now := l.tasks[:min(len(l.tasks), turnBudget)]
	l.tasks = l.tasks[len(now):]
	for i, t := range now {
		l.touch()
		t.run()
		now[i] = nil
	}
	l.ran = l.ran || len(now) > 0
}

// runAgain gives a turn to the connections that asked for one in the last
// iteration.
func (l *Loop) runAgain() {
	if len(l.again) == 0 {
		return
	}
	list := l.again
	l.again, l.spare = l.spare[:0], list
	l.ran = true
	for _, c := range list {
		c.clear(flagAgain)
		if c.state != stateClosed {
			l.turn(c)
		}
	}
	clear(list)
}

// requeue gives the connection another turn in the next iteration.
func (l *Loop) requeue(c *Conn) {
	if !c.has(flagAgain) {
		c.set(flagAgain)
		l.again = append(l.again, c)
	}
}

// soil notes that the connection has something to write, or that a write will
// show how it stands.
func (l *Loop) soil(c *Conn) {
	if !c.has(flagDirty) {
		c.set(flagDirty)
		l.dirty = append(l.dirty, c)
	}
}

// finish ends an iteration: calls of Closed, Flush, then the writes.
func (l *Loop) finish() {
	for i := 0; i < len(l.ended); i++ { // a Closed may end others
		e := l.ended[i]
		l.ended[i] = ending{}
		l.ran = true
		l.touch()
		l.h.Closed(e.c, e.r)
	}
	l.ended = l.ended[:0]
	if l.ran {
		l.ran = false
		l.touch()
		l.h.Flush(l)
	}
	for i := 0; i < len(l.dirty); i++ { // Stalled may add to it
		c := l.dirty[i]
		l.dirty[i] = nil
		c.clear(flagDirty)
		c.flush()
	}
	l.dirty = l.dirty[:0]
	l.stats.publish(l)
	if l.mono-l.trimmed > time.Second {
		l.trimmed = l.mono
		l.trim()
	}
}

// trim gives back the memory that the last second did not need.
func (l *Loop) trim() {
	l.buffers.trim()
	if cap(l.dirty) > 1024 && len(l.dirty) == 0 {
		l.dirty = nil
	}
	if cap(l.again) > 1024 && len(l.again) == 0 {
		l.again, l.spare = nil, nil
	}
	l.inflater.trim()
}

// adopt adds a connection that was accepted.
func (l *Loop) adopt(c *Conn) {
	l.lastGen++
	c.gen = l.lastGen
	if n := len(l.free); n > 0 {
		c.slot, l.free = l.free[n-1], l.free[:n-1]
		l.conns[c.slot] = c
	} else {
		c.slot = uint32(len(l.conns))
		l.conns = append(l.conns, c)
	}
	l.live++
	l.count.accepted++
	c.heard = uint32(l.ticks())
	c.timer.owner = c
	l.wheel.start(&c.timer, l.ticks()+ticksAfter(l.o.HandshakeTimeout))
}

// teardown ends all tasks and connections when the loop stops.
func (l *Loop) teardown() {
	for _, t := range append(l.tasks, l.inbox.close()...) {
		switch t := t.(type) {
		case *Conn: // accepted, never adopted
			t.shut()
			l.srv.countOut(t.ticket())
		case *comeback:
			t.c.shut()
			l.srv.countOut(t.c.ticket())
		case *writeTask:
			l.buffers.lose(t.writing.buf)
		}
	}
	for _, c := range l.conns {
		if c != nil {
			c.abort(CloseReason{Code: CodeAbnormal, Cause: DropShutdown})
		}
	}
	l.finish()
	l.stats.publish(l)
	_ = l.poll.close()
}
