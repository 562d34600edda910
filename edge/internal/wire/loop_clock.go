package wire

import "time"

// A loop looks at the clock all the time, and not only for its timers. While a
// process was stopped, others may have taken over its work, and when it goes on
// it must find out before it does anything else. Handler.Stalled is the call for
// that. Reading the clock costs about 25 ns, twice a message.

// readClocks reads the clocks at the start of an iteration. The monotonic clock
// runs on while a process is stopped, but not while the machine is suspended.
// Then the wall clock has gone ahead of it.
func (l *Loop) readClocks() {
	before, wall := l.now, l.wall
	l.now = time.Now()
	l.wall = l.now.UnixNano()
	ahead := time.Duration(l.wall-wall) - l.now.Sub(before)
	if mono := l.now.Sub(l.base); ahead > l.o.StallLimit {
		l.mono = mono
		l.stalled(ahead)
	} else {
		l.noteTime(mono)
	}
}

// touch looks at the clock before each call to the handler and each write: the
// process may have been stopped in the middle of an iteration.
func (l *Loop) touch() { l.noteTime(time.Since(l.base)) }

// noteTime compares the time with that of the last look.
func (l *Loop) noteTime(mono time.Duration) {
	gap := mono - l.mono
	l.mono = mono
	if gap > l.o.StallLimit {
		l.stalled(gap)
	}
}

func (l *Loop) stalled(gap time.Duration) {
	l.count.stalls++
	l.ran = true
	l.h.Stalled(l, gap)
}
