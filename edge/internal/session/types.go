package session

import (
	"errors"
	"time"
)

// ErrAckBeyond is returned by Ack when a client confirms a sequence that was
// never written to it. Ack has changed nothing then; the owner answers with an
// error.
var ErrAckBeyond = errors.New("session: acknowledged a sequence that was not sent")

// Class says how a client confirms messages.
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

// State is the state of a session; the package comment has the diagram. The
// names are metric labels.
type State uint8

const (
	// Idle: Attach has not been called.
	Idle State = iota
	// Attaching: a marker was sent, and has not come back on the live subject.
	Attaching
	// Behind: the subscription is in force, but the store has messages that
	// were not written yet.
	Behind
	// Live: copies are written as they arrive.
	Live
	// Settling: nothing more is written; a last pong is awaited.
	Settling
	// Stopped is the end: no event has an effect any more.
	Stopped
)

// String returns the metric label.
func (s State) String() string {
	return [...]string{"idle", "attaching", "behind", "live", "settling", "stopped"}[s]
}

// Why is the cause of a gap, as the client is told.
type Why uint8

const (
	// Overflow: the mailbox was full and dropped its oldest messages.
	Overflow Why = iota
	// Expired: the messages' time to live was over.
	Expired
	// Rollback: the log went backwards; sequences begin again at smaller ones.
	Rollback
)

// String returns the word for the client and for metrics.
func (w Why) String() string {
	return [...]string{"overflow", "expired", "rollback"}[w]
}

// Event is an occurrence that the owner counts, beside changes of state and
// gaps. The names are metric labels.
type Event uint8

const (
	// DuplicateCopy: a live copy came of a message that was accounted for already.
	DuplicateCopy Event = iota
	// DroppedCopy: a live copy found no room among the held ones; the message will
	// be read from the store.
	DroppedCopy
	// RepeatedMarker: a marker did not come back in time and was sent again.
	RepeatedMarker
	// RestartedAttach: copies contradict the marker, so another one was sent.
	RestartedAttach
	// FailedRead: the store did not answer; the read will be repeated.
	FailedRead
	// StaleRead: a replica lagged behind its leader; the read will be repeated.
	StaleRead
	// SkippedExpired: entries of the mailbox are gone which may all have been
	// markers.
	SkippedExpired
	// RepeatedBarrier: another ping's pong arrived in place of the barrier's.
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
	Seq     uint64 // its sequence in the stream; a copy with 0 is ignored
	Prev    uint64 // the mailbox's last sequence when it was stored; 0: the mailbox was empty
	Mark    uint64 // id of a marker; 0: a message
	Time    int64  // when the store stored it, Unix ns; 0: unknown
	TTL     bool   // it has a time to live of its own, so its absence proves nothing
	Payload []byte // the session may keep it, and never modifies it
	Trace   string // comes back in Out
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

// Position is where delivery is to begin, as the directory has it, or as Floor,
// FloorTime and Seen returned it.
type Position struct {
	Floor     uint64 // the last message or gap that the client has confirmed
	FloorTime int64  // when the store stored the message at Floor, Unix ns; 0: unknown, or it is a gap's
	Seen      uint64 // a message of the mailbox that has no time to live; 0: none is known
	SeenTime  int64  // as FloorTime

	// Old: the position is from before this node's connection to NATS, or there
	// is none. Since then the store may have gone back.
	Old bool
	// Tail: another holder may have kept copies of what was stored since. See Tail.
	Tail bool
	// Back: it has, and the client may not know: Floor, which an acked one has named, is
	// of the old log, and it is to be told. See OldLog.
	Back bool
}

// AnchorState is the leader's answer about the message at the anchor.
type AnchorState uint8

const (
	// Unchecked: no anchor was given.
	Unchecked AnchorState = iota
	// Present: the message is there, and nothing after it was dropped.
	Present
	// Gone: no message has that sequence any more; later ones may be gone too.
	Gone
	// Foreign: the sequence belongs to another mailbox's message, or lies beyond
	// the end of the stream.
	Foreign
)

// String returns the word that transcripts use.
func (a AnchorState) String() string {
	return [...]string{"unchecked", "present", "gone", "foreign"}[a]
}

// Batch answers a Read. It is of one server, at one moment; or, if Msgs is empty, of
// the stream's leader. Either may be behind.
type Batch struct {
	Msgs       []Stored // all from the asked sequence on; a stale replica may end early
	Anchor     AnchorState
	AnchorTime int64 // when the message at the anchor was stored, if Present; 0: unknown

	// Oldest is the first sequence of this mailbox at or after the asked one. It
	// matters if the anchor is not Present. 0: unknown; the session then takes
	// only the first message of the batch, and reads the rest again.
	Oldest uint64

	Next uint64 // as Oldest, if Msgs is empty; 0: there is none

	// Last is the last sequence of the whole stream as the leader that answered has
	// it, if HasLast. One that was deposed and has not noticed ends below what has
	// been stored since, and its answer is worth nothing.
	Last    uint64
	HasLast bool

	Back bool // the position that was Unproved is of a log that is gone

	Err error // the read failed, and all other fields are void
}

// Out is a message to write to the client.
type Out struct {
	Seq     uint64 // x-seq
	Prev    uint64 // x-prev: Seq of the message or gap that was written before
	Payload []byte
	Trace   string // as it came with the message
}

// Gap says that messages between From and To, both included, may be missing. From
// is below what the client has if the log may have gone back since, and both are
// 0 if the log went back and nothing can be missing.
type Gap struct {
	From, To uint64
	Why      Why
	Lost     int    // how many messages are missing; 0: unknown
	Prev     uint64 // x-prev
	Seq      uint64 // x-seq: To; after a rollback sequences begin again, so it is less than Prev may be
}

// Options are shared by many sessions, which never change them. A zero field
// has the default at the end of its comment.
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

// markerDelay returns how long to wait for a marker that was sent tries+1 times.
func (o *Options) markerDelay(tries uint8) time.Duration {
	return backoff(orDefault(o.MarkerTimeout, 150*time.Millisecond),
		orDefault(o.MarkerTimeoutMax, 5*time.Second), tries)
}

// readDelay returns how long to wait before a read is repeated.
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

// Effects are a session's orders to its owner. The session calls them from
// within its events, so on its owner's goroutine. They must not block, and must
// not call the session back, but for Read and Tail, which may: each is the last
// effect of an event.
type Effects interface {
	// NextMark returns an id for a marker: not 0, and never used before by any
	// node. A counter that starts at a random number will do.
	NextMark() uint64
	// Mark publishes a marker to the mailbox; keep: it has no time to live.
	Mark(id uint64, keep bool)
	// Read asks for up to max messages from sequence from on, and whether the
	// message at anchor is still there (0: do not ask). max 0: ask for the anchor
	// only. One Read is outstanding at most, and exactly one Batch answers it.
	Read(from, anchor uint64, max int)
	// Tail asks for copies, which another holder has kept, of what was stored after a
	// sequence and up to another. True: Copies answers it, exactly once, and nothing is
	// read meanwhile. False: there are none, and the store is read. Like Read, it is the
	// last effect of an event if it is true, and Copies may be called from within.
	Tail(after, to uint64) bool
	// Timer sets the session's one timer; 0 stops it.
	Timer(d time.Duration)
	// Write queues a message for the client, however long the queue is. False:
	// the queue is at its bound, and Writable will follow.
	Write(m Out) (room bool)
	// Gap queues a gap for an acked client, like Write. For a plain client the
	// owner only counts it.
	Gap(g Gap) (room bool)
	// Ping sends a barrier with this token, which Pong brings back.
	Ping(token uint64)
	// Attached reports that the awaited marker is back, so the subscription is in
	// force. It may come several times: a session also attaches again by
	// itself, when copies contradict each other.
	// False: nothing is to be written to the client yet, and Writable will follow.
	Attached() (room bool)
	// Dirty reports that Floor or Seen changed and should be checkpointed.
	Dirty()
	// State reports every change of state but that to Stopped.
	State(old, new State)
	// Count reports an event to count.
	Count(e Event)
}
