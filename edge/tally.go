package edge

import (
	"sync/atomic"
	"time"
)

// received is the kind of a message from a client: a metric's label.
type received uint8

const (
	inService received = iota
	inRequest
	inClient
	inWork
	inPing
	inAck
	inLog
	inWsdir
	inResume
	inAPI
	inInvalid
	inBadSignature
	inBadAddress
	inUnrecognized

	numReceived
)

var receivedNames = [numReceived]string{"service", "request", "client", "work", "ping", "ack", "log", "wsdir",
	"resume", "api", "invalid", "bad_signature", "bad_address", "unrecognized"}

func (k received) String() string { return receivedNames[k] }

// sent is the kind of a message to a client: a metric's label.
type sent uint8

const (
	outMailbox sent = iota
	outPush
	outConnection
	outAnswer
	outPong
	outAPI
	outWsdir
	outGap
	outError

	numSent
)

var sentNames = [numSent]string{"mailbox", "push", "connection", "answer", "pong", "api", "wsdir", "gap", "error"}

func (k sent) String() string { return sentNames[k] }

// tally is what one loop counts for each message. Every loop has its own, so
// that counting shares no cache line with another one; who scrapes adds them
// up. Anybody may read; who writes is said with each group.
type tally struct {
	// Written by the loop.
	in        [numReceived]volume
	out       [numSent]volume
	stored    durations // from the store to the socket's queue
	lag       durations // of timers
	heldBack  atomic.Uint64
	unacked   atomic.Int64 // messages on the way to acked clients
	windowed  atomic.Int64 // sessions whose client has a full window to confirm
	dirtyFrom atomic.Int64 // when the oldest floor moved that is not yet written, Unix ns; 0: none

	// Written by the outbox' goroutine.
	published durations // from the frame to NATS
}

// volume counts messages and the bytes of their payload.
type volume struct{ messages, bytes atomic.Uint64 }

func (v *volume) add(n int) {
	v.messages.Add(1)
	v.bytes.Add(uint64(n))
}

// durationBounds are the upper bounds of the buckets of every duration.
var durationBounds = [...]time.Duration{
	100 * time.Microsecond, 400 * time.Microsecond, 1600 * time.Microsecond, 6400 * time.Microsecond, 25600 * time.Microsecond,
	102400 * time.Microsecond, 409600 * time.Microsecond, 1638400 * time.Microsecond, 6553600 * time.Microsecond,
}

// durations is a histogram. Prometheus' own costs five times as much to fill.
type durations struct {
	buckets [len(durationBounds) + 1]atomic.Uint64 // not cumulative
	sum     atomic.Int64                           // ns
}

// observe counts one duration; clocks that disagree make none below zero.
func (d *durations) observe(t time.Duration) {
	t = max(t, 0)
	i := 0
	for i < len(durationBounds) && t > durationBounds[i] {
		i++
	}
	d.buckets[i].Add(1)
	d.sum.Add(int64(t))
}

// took counts a message from the client.
func (c *client) took(kind received) { c.w.tally.in[kind].add(c.w.size) }

// surveyEvery is how often the windows of acked clients are added up.
const surveyEvery = 2 * time.Second

// survey adds up what the clients of this loop have not confirmed: about 20 ns
// a session.
func (w *worker) survey() {
	unacked, full := 0, 0
	for _, a := range w.attachments {
		n := a.core.Unconfirmed()
		unacked += n
		if n >= w.node.cfg.Window {
			full++
		}
	}
	w.tally.unacked.Store(int64(unacked))
	w.tally.windowed.Store(int64(full))
}
