// Package history is what a run of faults leaves behind: one JSON object a
// line, in the order in which one process saw things happen. It says who sent
// what, what the store accepted, what came over which socket, and what was
// done to the processes meanwhile. Package check judges it.
//
// # Design
//
// One writer with one lock gives all events one order, so "after" needs no
// clocks: the clients, the publishers and the schedule live in one process.
// Every event that causes something is written before the cause is let loose
// (send before the bytes leave), and every effect after it was seen (recv after
// the frame was read); only so does the order of the lines prove anything.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Kind names what happened.
type Kind string

// The kinds, and the fields that they use.
const (
	Start    Kind = "start"    // Seed, Bounds, Limit
	Fault    Kind = "fault"    // What, Node
	Bit      Kind = "bit"      // a fault had the effect that it is for: What, Node; Why: by what one sees that
	Missed   Kind = "missed"   // it had not: What, Node, Why
	Copied   Kind = "copied"   // the stores were copied, while no server ran
	Restored Kind = "restored" // that copy took their place, while no server ran
	Heal     Kind = "heal"     // every fault is over
	Well     Kind = "well"     // no fault lasts, and the servers store what a bare client sends
	Back     Kind = "back"     // after that: a node is ready, or work is done: Node
	Open     Kind = "open"     // a socket with a fresh session: Conn, SID, Class, Node, Calm
	Resuming Kind = "resuming" // Conn is about to ask for SID, having handled Seq; Why: how its last socket ended; Twin: another that asks at the same moment; Attempt: its number, if it says one
	Resumed  Kind = "resumed"  // Conn was given SID: Class, Node
	Denied   Kind = "denied"   // Conn was not given SID: Why
	Receive  Kind = "recv"     // a mailbox message: Conn, SID, Mid, For, Seq and Prev (acked); to a managed client's program: SID, Mid, For, Seq
	Gap      Kind = "gap"      // a gap message: Conn, SID, Seq, Prev, From, To, Why; to a managed client's program: without Conn and Prev
	Frame    Kind = "frame"    // a managed client's connection brought a mailbox message: Conn, Mid, Seq, Prev; without Mid: a gap: Why
	Close    Kind = "close"    // the socket ended: Conn, Code
	Send     Kind = "send"     // somebody is about to send: Mid, SID (to whom), Source, Conn (client's); Rmid: the question that it answers
	Began    Kind = "began"    // a managed client's program has begun anew, with SID, which the one before kept
	Ended    Kind = "ended"    // a node has ended a managed client for good, whose program no other has followed: Conn, SID, Code, Why
	Ask      Kind = "ask"      // a managed client's program is about to say something to a service: Mid, SID (its own)
	Answered Kind = "answered" // it has the answer: Rmid (the question), Mid, SID, For; without Mid: it was told that somebody got it
	Stored   Kind = "stored"   // the store has acknowledged it: Mid, SID, Seq
	Failed   Kind = "failed"   // the sender was told of an error: Mid, Why; Told: the code
	Mailbox  Kind = "mailbox"  // what the store holds at the end: SID, Seq, Mid
	Sample   Kind = "sample"   // of a node's process: Node, RSS, Descriptors, Goroutines
	Drained  Kind = "drained"  // every session has got its last message
	Stuck    Kind = "stuck"    // SID has not, and time is up: Why
	Broken   Kind = "broken"   // a process did not do what it was told: Node, Why
	End      Kind = "end"
)

// KillNode is the fault that a node is killed: what an old client had not
// confirmed to it comes again.
const KillNode = "kill node"

// Codes that leave open whether a message was stored.
const (
	ToldTimeout = "timeout" // by a node
	ToldUnknown = "unknown" // by a managed client
)

// Class of a session.
const (
	Plain   = "plain"   // an old client's, which sees the socket
	Acked   = "acked"   // of one that confirms, which sees the socket
	Managed = "managed" // of a program that uses edge/client, and sees what that gives it
)

// Source of a message.
const (
	ByClient  = "client"  // to another client, over its socket: no acknowledgement
	ByManaged = "managed" // to another client, by edge/client, which tells its outcome
	ByService = "service" // an answer, stored by the SDK
	ByPush    = "push"    // stored by the SDK
	ByBatch   = "batch"   // stored by the SDK, many at a time
	ByNATS    = "nats"    // stored by a bare NATS client
	ByRespond = "respond" // an answer of a bare NATS client, which nothing acknowledges
)

// How a client's socket ended, as Resuming says.
const (
	EndLost     = "lost"     // it did not want that
	EndReset    = "reset"    // by the client, without waiting for what was on its way
	EndClose    = "close"    // the client said goodbye
	EndTakeover = "takeover" // it lives on
)

// Bounds are what the run promises of a node (I6).
type Bounds struct {
	RSS         int64 `json:"rss"`
	Descriptors int   `json:"descriptors"`
	Goroutines  int   `json:"goroutines"`
}

// An Event is one line. All kinds share it, and each sets a few of its fields.
type Event struct {
	At   time.Duration `json:"at"` // since the start of the run, in nanoseconds
	Kind Kind          `json:"ev"`

	Conn  int    `json:"conn,omitempty"`
	SID   string `json:"sid,omitempty"`
	Class string `json:"class,omitempty"`
	Node  string `json:"node,omitempty"`
	Calm  bool   `json:"calm,omitempty"` // a client whose node nobody harms
	Twin  int    `json:"twin,omitempty"` // a socket

	Mid    string `json:"mid,omitempty"`
	Rmid   string `json:"rmid,omitempty"`
	For    string `json:"for,omitempty"` // the session that the sender meant
	Source string `json:"src,omitempty"`
	Seq    uint64 `json:"seq,omitempty"`
	Prev   uint64 `json:"prev,omitempty"`
	From   uint64 `json:"from,omitempty"`
	To     uint64 `json:"to,omitempty"`

	Dialed  time.Duration `json:"dialed,omitempty"` // of Open and Resuming: when the socket was begun, since the start of the run
	Attempt uint64        `json:"attempt,omitempty"`
	Late    bool          `json:"late,omitempty"` // of Resuming: it is held back until the client is elsewhere, and arrives with the end of its socket
	Told    string        `json:"told,omitempty"`

	Code int    `json:"code,omitempty"`
	Why  string `json:"why,omitempty"`
	What string `json:"what,omitempty"`

	Seed   uint64  `json:"seed,omitempty"`
	Bounds *Bounds `json:"bounds,omitempty"`
	Limit  int     `json:"limit,omitempty"` // of a mailbox, if the run wants it to be reached

	RSS         int64 `json:"rss,omitempty"`
	Descriptors int   `json:"descriptors,omitempty"`
	Goroutines  int   `json:"goroutines,omitempty"`
}

// A Writer puts events in order. Its methods may be called concurrently.
type Writer struct {
	// Immutable after NewWriter.
	start time.Time

	// Guarded by mu.
	mu      sync.Mutex
	out     *bufio.Writer
	encoder *json.Encoder
	err     error // the first that occurred
}

// NewWriter starts a history.
func NewWriter(w io.Writer) *Writer {
	out := bufio.NewWriterSize(w, 1<<16)
	return &Writer{start: time.Now(), out: out, encoder: json.NewEncoder(out)}
}

// Add appends an event and sets its time.
func (w *Writer) Add(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.At = w.Now()
	if err := w.encoder.Encode(e); err != nil && w.err == nil {
		w.err = err
	}
}

// Now is the time since the start of the run.
func (w *Writer) Now() time.Duration { return time.Since(w.start) }

// Flush writes what is buffered and returns the first error of any Add.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.out.Flush())
}

// Read calls f for every event in order, with its line number from 1.
func Read(r io.Reader, f func(line int, e Event) error) error {
	decoder := json.NewDecoder(bufio.NewReaderSize(r, 1<<16))
	for line := 1; ; line++ {
		var e Event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("history: line %d: %w", line, err)
		}
		if err := f(line, e); err != nil {
			return err
		}
	}
}
