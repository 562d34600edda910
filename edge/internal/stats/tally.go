package stats

import (
	"sync/atomic"
	"time"
)

// Received is the kind of a message from a client.
type Received uint8

const (
	InService Received = iota
	InRequest
	InClient
	InWork
	InPing
	InAck
	InLog
	InWsdir
	InResume
	InAPI
	InInvalid
	InBadSignature
	InBadAddress
	InUnrecognized
	InDenied // by the rules for its client
	InAuth   // a new token

	numReceived
)

var receivedWords = [numReceived]string{"service", "request", "client", "work", "ping", "ack", "log", "wsdir",
	"resume", "api", "invalid", "bad_signature", "bad_address", "unrecognized", "denied", "auth"}

// String returns the metric label.
func (k Received) String() string { return word(receivedWords[:], uint8(k)) }

// Sent is the kind of a message to a client.
type Sent uint8

const (
	OutMailbox Sent = iota
	OutPush
	OutConnection
	OutAnswer
	OutPong
	OutAPI
	OutWsdir
	OutGap
	OutError
	OutAccepted

	numSent
)

var sentWords = [numSent]string{"mailbox", "push", "connection", "answer", "pong", "api", "wsdir", "gap", "error", "accepted"}

// String returns the metric label.
func (k Sent) String() string { return word(sentWords[:], uint8(k)) }

// Tally is what one loop counts for each message. Every loop has its own, so
// that counting shares no cache line with another one. Any goroutine may read;
// each group says who writes. The zero value is ready to use.
type Tally struct {
	// Written by the loop.
	In        [numReceived]Volume
	Out       [numSent]Volume
	Stored    Durations // from the store to the socket's queue
	Lag       Durations // of timers
	HeldBack  atomic.Uint64
	Unacked   atomic.Int64 // messages on the way to acked clients
	Windowed  atomic.Int64 // sessions whose client has a full window to confirm
	DirtyFrom atomic.Int64 // when the oldest floor moved that is not yet written, Unix ns; 0: none

	// Written by the outbox' goroutine.
	Published Durations // from the frame to NATS
}

// Volume counts messages and the bytes of their payload.
type Volume struct{ messages, bytes atomic.Uint64 }

// Add counts a message of n bytes.
func (v *Volume) Add(n int) {
	v.messages.Add(1)
	v.bytes.Add(uint64(n))
}

// durationBounds are the upper bounds of the buckets of every duration.
var durationBounds = [...]time.Duration{
	100 * time.Microsecond, 400 * time.Microsecond, 1600 * time.Microsecond, 6400 * time.Microsecond, 25600 * time.Microsecond,
	102400 * time.Microsecond, 409600 * time.Microsecond, 1638400 * time.Microsecond, 6553600 * time.Microsecond,
}

// Durations is a histogram. Prometheus' own costs five times as much to fill.
type Durations struct {
	buckets [len(durationBounds) + 1]atomic.Uint64 // not cumulative
	sum     atomic.Int64                           // ns
}

// Observe counts one duration; clocks that disagree make none below zero.
func (d *Durations) Observe(t time.Duration) {
	t = max(t, 0)
	i := 0
	for i < len(durationBounds) && t > durationBounds[i] {
		i++
	}
	d.buckets[i].Add(1)
	d.sum.Add(int64(t))
}
