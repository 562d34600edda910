package session

import (
	"errors"
	"time"
)

// ErrAckBeyond is returned by Ack when a client confirms a sequence that was
// never written to it. Nothing has changed then; the owner answers with an
// error.
var ErrAckBeyond = errors.New("session: acknowledged a sequence that was not sent")

// Class says how a client confirms what it got.
type Class uint8

const (
	// Plain clients confirm by answering a WebSocket Ping (RFC 6455 §5.5.3).
	Plain Class = iota
	// Acked clients confirm by sequence (subprotocol umf.ack.v1).
	Acked
)

// String returns the name used in logs and metrics.
func (c Class) String() string {
	if c == Acked {
		return "acked"
	}
	return "plain"
}

// State is where a session stands. The names are metric labels.
type State uint8

const (
	// Idle is a session before Attach.
	Idle State = iota
	// Attaching waits for its marker to come back on the live subject.
	Attaching
	// Behind has interest, but not all that is stored has been written.
	Behind
	// Live writes copies as they arrive.
	Live
	// Releasing writes nothing more, and waits for a last pong.
	Releasing
	// Stopped is the end: no event has an effect any more.
	Stopped
)

// String returns the metric label.
func (s State) String() string {
	return [...]string{"idle", "attaching", "behind", "live", "releasing", "stopped"}[s]
}

// Why is the cause of a gap, as the client is told.
type Why uint8

const (
	// Overflow: the mailbox was over its bound and dropped its oldest messages.
	Overflow Why = iota
	// Expired: the messages' time was over.
	Expired
	// Rollback: the log went backwards; sequences start again at smaller ones.
	Rollback
)

// String returns the word that goes to the client and into metrics.
func (w Why) String() string {
	return [...]string{"overflow", "expired", "rollback"}[w]
}

// origin is what is to be told before the first message.
type origin uint8

const (
	knownOrigin   origin = iota // nothing
	unknownOrigin               // an overflow: nobody knows what was there before
	otherOrigin                 // a rollback
)

// Event is a thing worth counting that is no state change and no gap. The
// names are metric labels.
type Event uint8

const (
	// DuplicateCopy: a live copy of a message that was accounted for already.
	DuplicateCopy Event = iota
	// DroppedCopy: a live copy did not fit the held ones; it will be read.
	DroppedCopy
	// RepeatedMarker: a marker did not come back in time, another was sent.
	RepeatedMarker
	// RestartedAttach: what came with the marker contradicts it; a new one was sent.
	RestartedAttach
	// FailedRead: the store did not answer; asked again later.
	FailedRead
	// StaleRead: a replica had not yet what its leader has; asked again later.
	StaleRead
	// SkippedExpired: messages that nobody can tell from markers are gone.
	SkippedExpired
	// RepeatedBarrier: another pong arrived in place of the barrier's.
	RepeatedBarrier

	NumEvents
)

// String returns the metric label.
func (e Event) String() string {
	return [...]string{"duplicate_copy", "dropped_copy", "repeated_marker", "restarted_attach",
		"failed_read", "stale_read", "skipped_expired", "repeated_barrier"}[e]
}

// Copy is a message of the mailbox as it arrives on the live subject.
type Copy struct {
	Seq     uint64 // its sequence in the stream; 0 is not a mailbox message and ignored
	Prev    uint64 // the mailbox's last sequence when it was stored; 0: the mailbox was empty
	Mark    uint64 // id of a marker; 0: a message
	Time    int64  // when it was stored, Unix ns by the store; 0: unknown
	TTL     bool   // it has a time to live of its own, so its absence proves nothing
	Payload []byte // may be kept, is never modified
	Trace   string // of the owner's; Out has it again
}

// Stored is a message of the mailbox as it is read from the store.
type Stored struct {
	Seq     uint64
	Time    int64 // as in Copy
	Mark    bool
	TTL     bool
	Payload []byte
	Trace   string // as in Copy
}

// AnchorState is what the stream's leader says about the message at the anchor.
type AnchorState uint8

const (
	// Unchecked: nobody asked (anchor 0).
	Unchecked AnchorState = iota
	// Present: it is there and of this mailbox.
	Present
	// Gone: no message has that sequence any more.
	Gone
	// Foreign: another mailbox's message has that sequence.
	Foreign
)

// String names the state as transcripts do.
func (a AnchorState) String() string {
	return [...]string{"unchecked", "present", "gone", "foreign"}[a]
}

// Batch answers a Read. Anchor, AnchorTime, Next and Last are the leader's
// word, asked after Msgs were in hand.
type Batch struct {
	Msgs       []Stored // dense from the asked sequence on; may end early on a stale replica
	Anchor     AnchorState
	AnchorTime int64 // when the message at the anchor was stored, if Present; 0: unknown

	// Oldest is the first sequence of this mailbox at or after the asked one,
	// of use when the anchor is not Present; 0: unknown, then only the first
	// message of the batch is taken and the rest is read again.
	Oldest uint64

	// Of use when Msgs is empty.
	Next uint64 // as Oldest; 0: there is none
	Last uint64 // last sequence of the whole stream; 0: unknown

	Err error // the rest is void
}

// Out is a message to write to the client.
type Out struct {
	Seq     uint64 // x-seq
	Prev    uint64 // x-prev: Seq of the message or gap that was written before
	Payload []byte
	Trace   string // as it came with the message
}

// Gap says that messages between From and To, both included, may be missing.
// From > To: none is known to be.
type Gap struct {
	From, To uint64
	Why      Why
	Prev     uint64 // x-prev
	Seq      uint64 // x-seq: To; after a rollback sequences begin again, so it is less than Prev may be
}

// Options are shared by many sessions and never changed by one. A zero field
// has the default that it names.
type Options struct {
	Window       int // unconfirmed messages and gaps on the way to an acked client; 256
	HeldMessages int // live copies kept while behind; 64
	HeldBytes    int // their payloads' bytes; 64 KiB
	Batch        int // messages of one Read; 100

	MarkerTimeout    time.Duration // until a marker is sent again, doubling; 150 ms
	MarkerTimeoutMax time.Duration // 5 s
	ReadRetry        time.Duration // until a failed or stale read is repeated, doubling; 20 ms
	ReadRetryMax     time.Duration // 2 s
}

func orDefault[T int | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

func (o *Options) window() int       { return orDefault(o.Window, 256) }
func (o *Options) heldMessages() int { return orDefault(o.HeldMessages, 64) }
func (o *Options) heldBytes() int    { return orDefault(o.HeldBytes, 64<<10) }
func (o *Options) batch() int        { return orDefault(o.Batch, 100) }

// markerDelay is how long to wait for a marker that was sent tries+1 times.
func (o *Options) markerDelay(tries uint8) time.Duration {
	return backoff(orDefault(o.MarkerTimeout, 150*time.Millisecond),
		orDefault(o.MarkerTimeoutMax, 5*time.Second), tries)
}

// readDelay is how long to wait before a read is repeated.
func (o *Options) readDelay(tries uint8) time.Duration {
	return backoff(orDefault(o.ReadRetry, 20*time.Millisecond),
		orDefault(o.ReadRetryMax, 2*time.Second), tries)
}

// backoff doubles from first to limit.
func backoff(first, limit time.Duration, tries uint8) time.Duration {
	d := first
	for ; tries > 0 && d < limit; tries-- {
		d *= 2
	}
	return min(d, limit)
}

// Effects is what a session asks of its owner. The calls come from within the
// session's events, on the owner's loop; they must neither block nor call the
// session back.
type Effects interface {
	// NextMark returns an id for a marker, never 0 and never used before by any
	// node (a counter that starts at a random number).
	NextMark() uint64
	// Mark publishes a marker to the mailbox; keep: without a time to live.
	Mark(id uint64, keep bool)
	// Read asks for up to max messages from sequence from on, and whether the
	// message at anchor is still there (0: do not ask). max 0: only the anchor
	// is asked for, and no consumer is made. At most one is outstanding; each
	// is answered by exactly one Batch.
	Read(from, anchor uint64, max int)
	// StopReading releases what reads have made, a consumer.
	StopReading()
	// Timer arms the session's one timer anew; 0 stops it.
	Timer(d time.Duration)
	// Write queues a message for the client, whatever the queue's length;
	// false: the queue is at its bound, and Writable will follow.
	Write(m Out) (room bool)
	// Gap tells an acked client, like Write; for a plain one it is only counted.
	Gap(g Gap) (room bool)
	// Ping sends a barrier with this token, which Pong brings back.
	Ping(token uint64)
	// Attached reports that interest is established: each time that the awaited
	// marker is back. The session also attaches again by itself, when what it
	// sees contradicts itself.
	Attached()
	// Dirty reports that Floor or Seen changed and should be checkpointed.
	Dirty()
	// State reports every change of state but that to Stopped.
	State(old, new State)
	// Count reports what is worth counting.
	Count(e Event)
}
