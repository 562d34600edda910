package wire

import "time"

// A loop looks at the clock all the time, for a reason beside timers: a process
// that was stopped and goes on may have lost its sessions to other nodes in the
// meantime, and must find out before it does anything else. Handler.Stalled is
// how it does. Reading the clock costs about 25 ns, twice a message.

// tell reads the clocks at the start of an iteration. The monotonic clock
// runs on while a process is stopped, but not in a suspended machine: that
// shows as a wall clock that went ahead of it.
func (l *Loop) tell() {
	before, wall := l.now, l.wall
	l.now = time.Now()
	l.wall = l.now.UnixNano()
	ahead := time.Duration(l.wall-wall) - l.now.Sub(before)
	if mono := l.now.Sub(l.base); ahead > l.o.StallLimit {
		l.mono = mono
		l.stalled(ahead)
	} else {
		l.seen(mono)
	}
}

// touch looks at the clock before a call to the handler and before a write:
// the process may have been frozen in the middle of an iteration.
func (l *Loop) touch() { l.seen(time.Since(l.base)) }

func (l *Loop) seen(mono time.Duration) {
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
