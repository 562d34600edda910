package edge

import (
	"crypto/sha256"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
)

// attachment is one session that a socket of this node holds: the session
// machine, its directory entry and its NATS subscription. It performs the
// effects that the machine asks for.
//
// Life: opening (fresh or resumed) → welcomed → released, parked or lost.
type attachment struct {
	// Immutable after attach.
	w         *worker
	sid       string
	fence     uint64 // random, in the directory entry: tells this attachment from every other
	identity  string
	tokenHash [sha256.Size]byte // zero: none
	opened    int64             // Unix seconds

	// Owned by the loop.
	client     *client // nil once the socket is gone
	core       session.Session
	timer      *wire.Timer
	reader     *mailboxReader
	start      uint64        // sequence of the session's first marker; 0: the log has gone back since
	rev        uint64        // revision of the directory entry: the fence
	renewed    time.Duration // age of the node when its anchor and its entry were renewed
	dirtySince uint32        // … and when the floor moved, in milliseconds
	class      session.Class // immutable
	fresh      bool
	used       bool // the client has sent, or was sent, a message: others may know the session
	listening  bool // the machine runs
	suspended  bool // ownership is being verified: nothing reaches the machine
	welcomed   bool
	entering   bool // the first marker is back: the entry is to be written
	isDirty    bool
	saving     bool
	saveAgain  bool
	parking    bool
	retries    uint8
	waiting    *waiting    // nil: nobody and nothing waits
	header     nats.Header // of messages to services; made with the first one

	// Owned by the outbox goroutine.
	sub *nats.Subscription
}

// waiting is what an attachment holds only in rare moments.
type waiting struct {
	releases []func(released)  // nodes that have asked for the session, and wait for the last pong
	late     [numEvents]func() // events that wait while the session is suspended
	queued   bool              // something waited for the socket when the process stalled
}

// releasing reports that others have asked for the session.
func (a *attachment) releasing() bool { return a.waiting != nil && len(a.waiting.releases) > 0 }

// wait returns what to put into that others, or events, wait.
func (a *attachment) wait() *waiting {
	if a.waiting == nil {
		a.waiting = new(waiting)
	}
	return a.waiting
}

// open starts a fresh session for a socket. The welcome goes out when the
// first marker is back and the directory has the entry.
func (w *worker) open(c *client, token string) *attachment {
	a := &attachment{
		w:         w,
		sid:       bus.NewSID(),
		fence:     randomUint64(),
		identity:  c.identity,
		tokenHash: hashToken(token),
		opened:    w.loop.Now().Unix(),
		class:     c.class,
		client:    c,
		fresh:     true,
		renewed:   w.age(),
	}
	w.attach(a, 0, 0)
	return a
}

// attach subscribes and lets the machine run.
func (w *worker) attach(a *attachment, floor, seen uint64) {
	if before := w.attachments[a.sid]; before != nil {
		before.lost() // to a node that did not reach this one, where the session is from now
	}
	a.listening = true
	a.core.Init(a.class, &w.node.sessionOptions)
	w.attachments[a.sid] = a
	w.out.push(op{kind: stats.OpSubscribe, subject: a.liveSubject(), a: a})
	a.core.Attach(floor, seen, a.fresh, a)
}

func (a *attachment) liveSubject() string {
	subject, err := bus.LiveSubject(a.sid)
	if err != nil {
		panic(err) // a sid of this node's own making or from the directory
	}
	return subject
}

// detach forgets a session that this node no longer serves. The machine has
// been stopped.
func (a *attachment) detach() {
	w := a.w
	if w.attachments[a.sid] == a {
		delete(w.attachments, a.sid)
	}
	a.stopListening()
}

func (a *attachment) stopListening() {
	if !a.listening {
		return
	}
	a.listening = false
	a.w.node.m.Sessions.End(a.core.State())
	a.core.Stop()
	a.setTimer(0)
	a.StopReading()
	a.w.out.push(op{kind: stats.OpUnsubscribe, subject: a.liveSubject(), a: a})
}

// enter writes the first directory entry of a fresh session, when the machine
// has its floor: the marker that is back need not be the first that was stored.
// The welcome follows when the entry is acknowledged.
func (a *attachment) enter() {
	if !a.entering || a.core.Floor() == 0 {
		return
	}
	a.entering = false
	a.start = a.core.Floor()
	a.save()
}
