package edge

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/wire"
	"hydrant/umf"
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
	start      uint64        // sequence of the session's first marker
	rev        uint64        // revision of the directory entry: the fence
	saved      time.Duration // age of the node when the entry was written
	dirtySince uint32        // … and when the floor moved, in milliseconds
	class      session.Class // immutable
	fresh      bool
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
	}
	w.attach(a, 0, 0)
	return a
}

// attach subscribes and lets the machine run: DESIGN §5 "Attach".
func (w *worker) attach(a *attachment, floor, seen uint64) {
	a.listening = true
	a.core.Init(a.class, &w.node.sessionOptions)
	w.attachments[a.sid] = a
	w.out.push(op{kind: opSubscribe, subject: a.liveSubject(), a: a})
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
	a.w.node.m.sessions.WithLabelValues(a.core.State().String()).Dec()
	a.core.Stop()
	a.setTimer(0)
	a.StopReading()
	a.w.out.push(op{kind: opUnsubscribe, subject: a.liveSubject(), a: a})
}

// The methods below implement session.Effects.

// Mark publishes a marker into the mailbox.
func (a *attachment) Mark(id uint64, keep bool) {
	a.w.out.push(op{kind: opMark, sid: a.sid, mark: id, keep: keep})
}

// NextMark returns a new marker id.
func (a *attachment) NextMark() uint64 { return a.w.nextMark() }

// Read asks the pool for the next batch of the mailbox.
func (a *attachment) Read(from, anchor uint64, most int) {
	w := a.w
	if a.reader == nil {
		a.reader = &mailboxReader{r: w.node.store.NewReader(a.sid, a.fence)}
	}
	reader := a.reader
	room := max(int(w.node.cfg.WriteBuffer)/2, 16<<10)
	job := func(ctx context.Context) (bus.Batch, error) { return reader.read(ctx, from, anchor, most, room) }
	submit(w, job, func(batch bus.Batch, err error) {
		a.whenActive(answered, func() { a.core.Batch(a.convert(batch, err), a) })
	})
}

func (a *attachment) convert(batch bus.Batch, err error) session.Batch {
	w := a.w
	out := session.Batch{Next: batch.Next, Last: batch.Last, Oldest: batch.Oldest, Err: err,
		Anchor: session.AnchorState(batch.Anchor), AnchorTime: batch.AnchorTime}
	if err != nil {
		w.node.m.reads.with("error").Inc()
		w.node.m.natsErrors.with("read").Inc()
		w.node.log.Debug("mailbox not read", "sid", a.sid, "error", err)
		return out
	}
	w.node.m.reads.with("ok").Inc()
	out.Msgs = make([]session.Stored, len(batch.Msgs))
	for i, m := range batch.Msgs {
		payload, ok := w.inspect(a, m.Seq, m.Mark, m.Payload)
		out.Msgs[i] = session.Stored{Seq: m.Seq, Time: m.Time, Mark: m.Mark || !ok, TTL: m.TTL, Payload: payload, Trace: m.Trace}
	}
	return out
}

// mailboxReader lets a read and the end of reading, which the pool may run at
// the same time, follow one another.
type mailboxReader struct {
	mu sync.Mutex
	r  *bus.Reader // guarded by mu
}

func (m *mailboxReader) read(ctx context.Context, from, anchor uint64, most, maxBytes int) (bus.Batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.r.Read(ctx, from, anchor, most, maxBytes)
}

func (m *mailboxReader) close(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.r.Close(ctx)
}

// StopReading drops the mailbox reader and its consumer.
func (a *attachment) StopReading() {
	reader := a.reader
	if reader == nil {
		return
	}
	a.reader = nil
	n := a.w.node
	if !n.pool.submit(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		defer cancel()
		if err := reader.close(ctx); err != nil {
			n.log.Debug("consumer not removed; it ends by itself", "error", err)
		}
	}) {
		n.m.dropped.with("consumer_cleanup").Inc()
	}
}

// Timer arms the machine's one timer.
func (a *attachment) Timer(d time.Duration) { a.setTimer(d) }

func (a *attachment) setTimer(d time.Duration) {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	if d > 0 {
		a.timer = a.w.loop.AfterFunc(d, func() {
			a.timer = nil
			if a.releasing() {
				a.released()
				return
			}
			a.whenActive(timedOut, func() { a.core.Timeout(a) })
		})
	}
}

// Write gives one mailbox message to the socket.
func (a *attachment) Write(m session.Out) bool {
	w := a.w
	if a.class != session.Acked {
		return a.client.sendTraced(outMailbox, m.Trace, m.Payload)
	}
	e := &w.envelope
	if err := umf.Scan(m.Payload, e); err != nil {
		panic("edge: a message that passed inspect does not scan: " + err.Error())
	}
	w.text = appendSequenceHeader(w.text[:0], e.Raw(umf.Headers), m.Seq, m.Prev)
	w.buf = e.AppendShort(w.buf[:0], umf.Set{Field: umf.Headers, Raw: w.text})
	return a.client.sendTraced(outMailbox, m.Trace, w.buf)
}

// Gap tells an acked client that messages are gone.
func (a *attachment) Gap(g session.Gap) bool {
	w := a.w
	w.node.m.gaps.with(g.Why.String()).Inc()
	w.node.log.Warn("messages lost to a session", "sid", a.sid, "from", g.From, "to", g.To, "why", g.Why.String())
	if a.class != session.Acked {
		return a.client.conn.Buffered() < int(w.node.cfg.WriteBuffer)
	}
	body := make([]byte, 0, 96)
	body = append(body, `{"from":"`...)
	body = strconv.AppendUint(body, g.From, 10)
	body = append(body, `","to":"`...)
	body = strconv.AppendUint(body, g.To, 10)
	body = append(body, `","why":"`...)
	body = append(body, g.Why.String()...)
	body = append(body, `"}`...)
	msg := outgoing{to: a.sid + "@client:/", typ: "gap", body: body,
		headers: appendSequenceHeader(nil, nil, g.Seq, g.Prev)}
	return a.client.reply(outGap, msg)
}

// Ping sends the barrier that proves delivery.
func (a *attachment) Ping(token uint64) { a.client.barrier(token) }

// Dirty queues the moved floor for a checkpoint.
func (a *attachment) Dirty() {
	if a.isDirty || !a.welcomed {
		return
	}
	a.isDirty = true
	a.dirtySince = uint32(a.w.age().Milliseconds())
	a.w.dirty = append(a.w.dirty, a)
}

// State counts the machine's transitions.
func (a *attachment) State(from, to session.State) {
	m := a.w.node.m
	m.transitions.WithLabelValues(from.String(), to.String()).Inc()
	if from != session.Idle {
		m.sessions.WithLabelValues(from.String()).Dec()
	}
	m.sessions.WithLabelValues(to.String()).Inc()
}

// Count counts what is neither a state nor a gap.
func (a *attachment) Count(e session.Event) { a.w.node.m.machine.with(e.String()).Inc() }

// Attached follows each attach whose marker came back: copies now reach this
// node from everywhere.
func (a *attachment) Attached() {
	switch {
	case a.welcomed:
	case a.fresh:
		a.entering = true // once the machine has taken the marker as its floor
	default:
		a.client.welcome(a)
	}
}

// enter writes the first directory entry of a fresh session. The welcome
// follows when it is acknowledged.
func (a *attachment) enter() {
	a.entering = false
	a.start = a.core.Floor()
	a.save()
}

// entry is what the directory should say of this session now.
func (a *attachment) entry() bus.Entry {
	state := bus.StateLive
	if a.parking {
		state = bus.StateParked
	}
	e := bus.Entry{
		Node: a.w.node.id, Fence: a.fence, State: state,
		Start: a.start, Floor: a.core.Floor(), Seen: a.core.Seen(),
		TokenHash: a.tokenHash[:], Identity: a.identity, Acked: a.class == session.Acked, Opened: time.Unix(a.opened, 0).UTC(),
	}
	if a.tokenHash == [sha256.Size]byte{} {
		e.TokenHash = nil
	}
	return e
}

// save writes the entry, one write at a time. A change during a write is
// written after it.
func (a *attachment) save() {
	if a.saving {
		a.saveAgain = true
		return
	}
	a.saving, a.saveAgain = true, false
	a.w.out.push(op{kind: opSave, sid: a.sid, entry: a.entry(), rev: a.rev, done: func(rev uint64, err error) {
		a.w.post(func() { a.onSaved(rev, err) })
	}})
}

func (a *attachment) onSaved(rev uint64, err error) {
	w := a.w
	a.saving = false
	switch {
	case w.attachments[a.sid] != a:
		return // released meanwhile: the new owner has taken the entry over
	case errors.Is(err, bus.ErrFenced):
		w.node.m.saves.with("fenced").Inc()
		a.verify()
		return
	case err != nil:
		w.node.m.saves.with("error").Inc()
		w.node.m.natsErrors.with("save").Inc()
		a.retrySave(err)
		return
	}
	w.node.m.saves.with("ok").Inc()
	a.rev, a.retries = rev, 0
	a.saved = w.age()
	switch {
	case a.saveAgain:
		a.save()
	case a.parking:
		a.parked()
	case a.fresh && !a.welcomed && a.client != nil:
		a.client.welcome(a)
	}
}

// saveRetries bounds the attempts to park a session whose socket is gone. Its
// entry then stays as the last checkpoint left it, which a resume can use.
const saveRetries = 8

func (a *attachment) retrySave(err error) {
	w := a.w
	if a.parking && a.retries >= saveRetries {
		w.node.log.Warn("session not parked; its last checkpoint stands", "sid", a.sid, "error", err)
		w.node.m.lifecycle.with("park_failed").Inc()
		a.detach()
		return
	}
	if a.retries < saveRetries {
		a.retries++
	}
	w.loop.AfterFunc(time.Duration(a.retries)*250*time.Millisecond, func() {
		if w.attachments[a.sid] == a && !a.saving {
			a.save()
		}
	})
}

// verify asks the directory who owns the session, after a lost compare-and-
// swap or a stall of the process. Until the answer nothing is written.
func (a *attachment) verify() {
	w := a.w
	job := func(ctx context.Context) (ownership, error) {
		entry, rev, err := w.node.dir.GetLatest(ctx, a.sid)
		return ownership{entry, rev}, err
	}
	submit(w, job, func(o ownership, err error) {
		if w.attachments[a.sid] != a {
			return
		}
		switch {
		case err == nil && o.entry.Fence == a.fence:
			a.rev = o.rev
			a.save()
			a.reactivate()
		case err == nil, errors.Is(err, bus.ErrNoSession):
			a.lost()
		default:
			if a.client != nil {
				a.client.conn.Release()
			}
			w.loop.AfterFunc(250*time.Millisecond, func() {
				if w.attachments[a.sid] == a {
					a.verify()
				}
			})
		}
	})
}

type ownership struct {
	entry bus.Entry
	rev   uint64
}

// event names what can happen to the machine. Of each kind the last one is kept
// while the session is suspended, however long that is and whatever the client
// sends: confirmations are cumulative, and of the others one says it all.
type event uint8

const (
	answered  event = iota // a read
	timedOut               // the timer
	ponged                 // a barrier
	alive                  // a pong that was none of ours
	confirmed              // by an acked client
	writable               // there is room
	checked                // refresh, sweep, re-attach
	numEvents
)

// whenActive runs an event of the machine, now or when a suspension ends.
func (a *attachment) whenActive(e event, f func()) {
	switch {
	case !a.listening:
	case !a.suspended:
		f()
	default:
		a.wait().late[e] = f
	}
}

// reactivate ends a suspension: copies that passed meanwhile are read again.
func (a *attachment) reactivate() {
	if !a.suspended {
		return
	}
	a.suspended = false
	if a.client != nil {
		a.client.conn.Release()
	}
	if w := a.waiting; w != nil {
		late := w.late
		w.late = [numEvents]func(){}
		for e, f := range late {
			if f != nil {
				a.whenActive(event(e), f)
			}
		}
	}
	a.whenActive(checked, func() { a.core.Reattach(a) })
}

// suspend keeps the session's messages from the socket until verify has settled
// whose it is. hold keeps everything from it, as is due after a stall: what was
// on its way then may be another's to send. If the directory does not answer,
// only the session goes on waiting: the client is to be told that much.
func (a *attachment) suspend(hold bool) {
	if a.pause(hold) {
		a.verify()
	}
}

// pause is the first half of suspend. False: it is so already, or there is
// nothing yet that somebody could have taken.
func (a *attachment) pause(hold bool) bool {
	if !a.listening || a.rev == 0 || a.suspended {
		return false
	}
	a.suspended = true
	if hold && a.client != nil {
		a.client.conn.Hold()
	}
	return true
}

// lost ends an attachment whose session belongs to somebody else.
func (a *attachment) lost() {
	a.w.node.m.lifecycle.with("lost").Inc()
	a.w.node.log.Info("session lost to another owner, or expired", "sid", a.sid)
	a.letGo()
}

// releasePatience is how long a session that was asked for waits for the pong
// that confirms what was written last. It spares a client that lives a repeat;
// one that is gone costs its successor this time.
const releasePatience = 150 * time.Millisecond

// release gives the session to another attachment: nothing is written any
// more, the socket is closed, and the answer says how far delivery got.
func (a *attachment) release(answer func(released)) {
	w := a.wait()
	w.releases = append(w.releases, answer)
	switch {
	case len(w.releases) > 1: // the wait has begun
	case a.listening && !a.suspended && a.client != nil && a.core.Release(a):
		a.setTimer(releasePatience)
	default:
		a.released()
	}
}

// released ends the wait: the answers go out when nothing is written any more.
func (a *attachment) released() {
	a.w.node.m.lifecycle.with("released").Inc()
	a.letGo()
}

// answerReleases says how far delivery got, as is known now.
func (a *attachment) answerReleases() {
	if !a.releasing() {
		return
	}
	r := released{Found: true, Floor: a.core.Floor(), Seen: a.core.Seen()}
	a.w.given.put(claimKey{a.sid, a.fence}, r, a.w.loop.Now())
	for _, answer := range a.waiting.releases {
		answer(r)
	}
	a.waiting.releases = nil
}

// letGo closes the socket of a session that another connection has: nothing
// that is queued for it leaves any more.
func (a *attachment) letGo() {
	c := a.client
	a.client = nil
	a.detach()
	if c != nil {
		c.a = nil
		c.discard(closeTakenOver, "session taken over by another connection")
	}
	a.answerReleases()
}

// park keeps the session for a client that is away: DESIGN §5 "Park".
func (a *attachment) park() {
	a.client = nil
	if a.releasing() {
		a.released() // to be parked by nobody: others wait for it
		return
	}
	a.stopListening()
	if a.rev == 0 && !a.saving {
		a.detach() // never entered: nobody knows this session
		return
	}
	a.parking = true
	a.save()
}

func (a *attachment) parked() {
	a.w.node.m.lifecycle.with("parked").Inc()
	a.event(bus.SessionParked, "")
	a.detach()
}

// discard ends a fresh session whose socket resumed an older one.
func (a *attachment) discard() {
	a.client = nil
	a.detach()
	sid, rev, n := a.sid, a.rev, a.w.node
	n.dir.Forget(sid) // what comes for it must not be stored while it is deleted
	if !n.pool.submit(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		defer cancel()
		if err := n.dir.Delete(ctx, sid, rev); err != nil {
			n.log.Debug("fresh session not removed; it expires", "sid", sid, "error", err)
		}
	}) {
		n.m.dropped.with("directory_cleanup").Inc()
	}
}
