package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/integration/harness"
)

// What a node does about a session that it lost without having been asked for
// it: the other node could not reach it, or the store has lost the entry.

// steal makes another node the owner of a session, as one does that gets no
// answer from this one.
func (r *running) steal(sid string, state scheme.State) {
	r.t.Helper()
	ctx := context.WithoutCancel(r.t.Context())
	r.until(func() error {
		entry, rev, err := r.dir.GetLatest(ctx, sid)
		if err != nil {
			return err
		}
		entry.Node, entry.Holder, entry.State = scheme.NewNodeID(), randomUint64(), state
		_, err = r.dir.Update(ctx, sid, entry, rev)
		return err
	})
}

// closed expects the end of a connection and returns its code.
func (r *running) closed(c *harness.Client) int {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), harness.Patience)
	defer cancel()
	code, _, err := c.Closed(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return code
}

// passed returns when what was stored before for sessions of c's loop has
// passed through the loop: a push goes behind it.
func (r *running) passed(c *harness.Client) {
	r.t.Helper()
	subject, err := scheme.LiveSubject(c.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := harness.Encode(harness.Object{"to": c.Address(), "frm": "test:/", "mid": "passed", "bdy": 1})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.nc.Publish(subject, text); err != nil {
		r.t.Fatal(err)
	}
	if _, err := c.Find(r.t.Context(), func(m harness.Message) bool { return m.Mid() == "passed" }); err != nil {
		r.t.Fatal(err)
	}
}

// TestSessionComesBackToItsLoop: a session went to another node that could not
// reach this one, and is resumed here before this node has noticed. The socket
// that had it is closed all the same.
func TestSessionComesBackToItsLoop(t *testing.T) {
	r := run(t, func(*Config) {})
	_, here, _ := r.crowd(2)
	old, again := here[0], here[1]
	id := old.ID
	r.steal(id, scheme.StateParked)
	if m, err := again.Resume(t.Context(), "reconnect", harness.Object{"id": id}); err != nil || again.ID != id {
		t.Fatalf("not resumed: %s, %v", m.Raw, err)
	}
	if code := r.closed(old); code != protocol.CloseTakenOver.Number() {
		t.Errorf("the old socket is closed with %d", code)
	}
	r.store(id, 0, 3, 1)
	r.gets(again, 0, 3)
}

// TestDoubtStopsTheSession: a checkpoint that is refused says that the session
// may be another node's. Until the directory has told, nothing is written.
func TestDoubtStopsTheSession(t *testing.T) {
	r := run(t, func(*Config) {})
	_, here, _ := r.crowd(2)
	old, witness := here[0], here[1]
	r.steal(old.ID, scheme.StateLive)
	leave := r.holdPool(nil)
	r.moves(`hydrant_directory_writes_total{result="fenced"}`, func() {
		r.store(old.ID, 0, 1, 1) // its delivery is to be written down
		r.gets(old, 0, 1)
	})
	r.store(old.ID, 1, 2, 1)
	r.passed(witness)
	leave()
	if code := r.closed(old); code != protocol.CloseTakenOver.Number() {
		t.Errorf("the socket is closed with %d", code)
	}
	if late := old.Inbox(); len(late) > 0 {
		t.Errorf("the socket got %s", late[0].Raw)
	}
}

// TestAnothersMarker: a session goes to a node that could not reach this one.
// What is stored after that node has attached comes behind its marker.
func TestAnothersMarker(t *testing.T) {
	r := run(t, func(*Config) {})
	_, here, _ := r.crowd(2)
	moved, kept := here[0], here[1]
	r.steal(moved.ID, scheme.StateLive)
	for _, c := range here {
		r.moves(`hydrant_session_events_total{what="doubted"}`, func() {
			if err := r.Node.store.PublishMarker(c.ID, 1, false); err != nil {
				t.Fatal(err)
			}
			r.store(c.ID, 0, 3, 1)
		})
	}
	r.closes(moved, protocol.CloseTakenOver)
	if late := moved.Inbox(); len(late) > 0 {
		t.Errorf("the socket got %s", late[0].Raw)
	}
	r.gets(kept, 0, 3)
}

// TestUnreadableEntry: what this node cannot read it has not written.
func TestUnreadableEntry(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	js, _ := r.mailboxes()
	kv, err := js.KeyValue(t.Context(), scheme.SessionBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), c.ID, "of a later version"); err != nil {
		t.Fatal(err)
	}
	r.store(c.ID, 0, 1, 1) // its delivery is to be written down
	if code := r.closed(c); code != protocol.CloseTakenOver.Number() {
		t.Errorf("the socket is closed with %d", code)
	}
}

// TestSessionWithoutEntry: the store has forgotten a session that is connected.
// Nobody else has it, so its client is to come back, for a new one.
func TestSessionWithoutEntry(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	r.until(func() error {
		_, rev, err := r.dir.GetLatest(t.Context(), c.ID)
		if err != nil {
			return err
		}
		return r.dir.Delete(t.Context(), c.ID, rev)
	})
	r.store(c.ID, 0, 1, 1) // its delivery is to be written down
	if code := r.closed(c); code != protocol.CloseRestart.Number() {
		t.Errorf("the socket is closed with %d", code)
	}
}

// TestStallWithoutNATS: what was queued when the process stopped may be another
// node's to send by the time that it goes on. If the directory cannot be asked,
// it does not leave; a client for whom nothing was queued keeps its connection.
func TestStallWithoutNATS(t *testing.T) {
	r := run(t, func(cfg *Config) { cfg.RequestTimeout = 100 * time.Millisecond })
	w, here, _ := r.crowd(2)
	busy, quiet := here[0], here[1]
	r.network.Set(harness.Weather{Blackhole: true})
	defer r.network.Set(harness.Weather{})
	w.post(func() {
		a := w.attachments[busy.ID]
		a.client.send(stats.OutMailbox, fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","mid":"queued","bdy":1}`, busy.ID))
		r.Stalled(w.loop, time.Minute)
	})
	if code := r.closed(busy); code == protocol.CloseTakenOver.Number() {
		t.Errorf("the socket is closed with %d", code)
	}
	if late := busy.Inbox(); len(late) > 0 {
		t.Errorf("the socket got %s", late[0].Raw)
	}
	r.serves(quiet)
}

// TestDroppedCopies: nothing shows that copies are missing if no other follows.
// The node looks when NATS says that it has dropped some.
func TestDroppedCopies(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, _ := r.crowd(2)
	leave := r.hold(w)
	r.fill(w)
	r.dropsCopies(here[1].ID, here[0].ID, 1)
	leave()
	r.gets(here[0], 0, 1)
}

// TestStallWhileVerifying: what the directory said before a stall proves
// nothing after it.
func TestStallWhileVerifying(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, _ := r.crowd(1)
	c := here[0]
	entered, left := make(chan struct{}), make(chan struct{})
	w.post(func() {
		a := w.attachments[c.ID]
		a.client.send(stats.OutMailbox, fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","mid":"queued","bdy":1}`, c.ID))
		r.Stalled(w.loop, time.Minute)
		close(entered)
		<-left
		r.Stalled(w.loop, time.Minute)
	})
	<-entered
	r.until(func() error { // the answer is there, and waits for the loop
		if r.metric("hydrant_loop_inbox") == 0 || r.pool.busy.Load() > 0 {
			return errNotYet
		}
		return nil
	})
	r.steal(c.ID, scheme.StateLive)
	close(left)
	if code := r.closed(c); code != protocol.CloseTakenOver.Number() {
		t.Errorf("the socket is closed with %d", code)
	}
	if late := c.Inbox(); len(late) > 0 {
		t.Errorf("the socket got %s", late[0].Raw)
	}
}

// TestStallWhileResuming: the process stops while a socket's next session is
// being claimed. The socket is held for the one that it had, and goes on with the
// other.
func TestStallWhileResuming(t *testing.T) {
	r := run(t, func(*Config) {})
	w, c, old := r.crowdWithout()
	goOn := r.asksInVain(c, old)
	entered, left := make(chan struct{}), make(chan struct{})
	w.post(func() {
		close(entered)
		<-left
		r.Stalled(w.loop, time.Minute)
	})
	<-entered
	goOn()
	r.until(func() error { // the session is claimed, and that waits for the loop
		if entry, _, err := r.dir.GetLatest(t.Context(), old); err != nil || entry.State != scheme.StateLive || r.pool.busy.Load() > 0 {
			return fmt.Errorf("%v, %v", entry.State, err)
		}
		return nil
	})
	close(left)
	if m, err := c.Find(t.Context(), func(m harness.Message) bool { return m.Type() == "connection" }); err != nil || m.At("bdy", "id") != old {
		t.Fatalf("not resumed: %s, %v", m.Raw, err)
	}
	r.store(old, 0, 3, 1)
	r.gets(c, 0, 3)
}

// TestResumeWhileHeld: a socket that is held since a stall leaves its session for
// another one before the directory was asked about it.
func TestResumeWhileHeld(t *testing.T) {
	for name, used := range map[string]bool{"a fresh session": false, "a session in use": true} {
		t.Run(name, func(t *testing.T) {
			r := run(t, func(*Config) {})
			w, c, old := r.crowdWithout()
			r.onLoop(w, func() {
				a := w.attachments[c.ID]
				a.used = used
				a.suspend(true) // with many sessions, its turn to be verified comes later
			})
			if m, err := c.Resume(t.Context(), "reconnect", harness.Object{"id": old}); err != nil || c.ID != old {
				t.Fatalf("not resumed: %s, %v", m.Raw, err)
			}
			r.store(old, 0, 3, 1)
			r.gets(c, 0, 3)
		})
	}
}

// TestResumeLate: a session that had been open for a while when its socket went
// back to an older one ends like any other, since word of that is on its way.
func TestResumeLate(t *testing.T) {
	r := run(t, func(*Config) {})
	w, c, old := r.crowdWithout()
	fresh := c.ID
	r.onLoop(w, w.renew)
	if m, err := c.Resume(t.Context(), "reconnect", harness.Object{"id": old}); err != nil || c.ID != old {
		t.Fatalf("not resumed: %s, %v", m.Raw, err)
	}
	r.parked(fresh)
}

// TestResumeWithQueue: what was queued for a session when the process stopped may
// be another node's to send by then, also when its socket leaves it for another
// session.
func TestResumeWithQueue(t *testing.T) {
	r := run(t, func(*Config) {})
	w, c, old := r.crowdWithout()
	r.onLoop(w, func() {
		a := w.attachments[c.ID]
		a.used = true
		a.client.send(stats.OutMailbox, fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","mid":"queued","bdy":1}`, c.ID))
		a.suspend(true) // with many sessions, its turn to be verified comes later
	})
	r.steal(c.ID, scheme.StateLive)
	r.send(c, harness.Object{"to": "hydra-router:/", "typ": "reconnect", "bdy": harness.Object{"id": old}})
	if code := r.closed(c); code != protocol.CloseOverload.Number() {
		t.Errorf("the socket is closed with %d", code)
	}
	if late := c.Inbox(); len(late) > 0 {
		t.Errorf("the socket got %s", late[0].Raw)
	}
	r.store(old, 0, 3, 1)
	r.gets(r.resumes(old), 0, 3)
}

// TestKickWhileHeld: a client is closed while its socket is held since a stall, and
// then its session proves to be another's. It is told why it was closed, and
// nothing of what was queued.
func TestKickWhileHeld(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, _ := r.crowd(1)
	c := here[0]
	r.onLoop(w, func() {
		a := w.attachments[c.ID]
		a.client.send(stats.OutMailbox, fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","mid":"queued","bdy":1}`, c.ID))
		a.suspend(true) // with many sessions, its turn to be verified comes later
	})
	r.kick(c.ID)
	r.steal(c.ID, scheme.StateLive)
	r.onLoop(w, func() { w.attachments[c.ID].verify() })
	r.closes(c, protocol.CloseKicked)
	if late := c.Inbox(); len(late) > 0 {
		t.Errorf("the socket got %s", late[0].Raw)
	}
}

// crowdWithout is a client, the loop of its socket, and a session whose client
// has gone away from there.
func (r *running) crowdWithout() (w *worker, c *harness.Client, parked string) {
	r.t.Helper()
	w, here, _ := r.crowd(2)
	parked = here[0].ID
	here[0].Close()
	r.parked(parked)
	return w, here[1], parked
}

// asksInVain has a client ask for a session while the directory is asked nothing,
// until goOn is called.
func (r *running) asksInVain(c *harness.Client, sid string) (goOn func()) {
	r.t.Helper()
	goOn = r.holdPool(nil)
	r.send(c, harness.Object{"to": "hydra-router:/", "typ": "reconnect", "bdy": harness.Object{"id": sid}})
	r.until(func() error {
		if len(r.pool.jobs) == 0 {
			return errNotYet
		}
		return nil
	})
	return goOn
}

// onLoop runs f on a worker's loop and waits for it.
func (r *running) onLoop(w *worker, f func()) {
	r.t.Helper()
	done := make(chan struct{})
	w.post(func() { defer close(done); f() })
	<-done
}

// TestReconnectedWhileEntering: a session that is not in the directory yet is
// nobody else's, but its subscription is a new one as well.
func TestReconnectedWhileEntering(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, _ := r.crowd(1)
	r.onLoop(w, func() {
		a := w.attachments[here[0].ID]
		rev := a.rev
		a.rev = 0 // as before the first entry is acknowledged
		w.reconnected(w.epoch + 1)
		a.rev = rev
		if state := a.core.State(); state != session.Attaching {
			t.Errorf("the session is %v", state)
		}
	})
	r.store(here[0].ID, 0, 3, 1)
	r.gets(here[0], 0, 3)
}

// TestPongWhileVerifying: what the client has read it has read, whoever owns the
// session. Its socket may be gone before that is known.
func TestPongWhileVerifying(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{NoPong: true})
	w := r.owner(c)
	r.store(c.ID, 0, 1, 1)
	r.gets(c, 0, 1)
	last, err := r.Node.store.LastSeqs(t.Context(), []string{c.ID})
	if err != nil {
		t.Fatal(err)
	}
	seq := last[c.ID]
	defer r.holdPool(nil)()
	r.onLoop(w, func() {
		a := w.attachments[c.ID]
		w.reconnected(w.epoch + 1)
		if !a.suspended || a.core.Floor() >= seq {
			t.Errorf("suspended %v, floor %d before the pong for %d", a.suspended, a.core.Floor(), seq)
		}
		r.Pong(a.client.conn, binary.BigEndian.AppendUint64(nil, seq))
		if floor := a.core.Floor(); floor != seq {
			t.Errorf("floor %d after the pong for %d", floor, seq)
		}
	})
}

// mailboxes is the stream that holds all mailboxes of the node.
func (r *running) mailboxes() (jetstream.JetStream, jetstream.Stream) {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		r.t.Fatal(err)
	}
	stream, err := js.Stream(r.t.Context(), scheme.OutStreamPrefix+"0")
	if err != nil {
		r.t.Fatal(err)
	}
	return js, stream
}

// TestFirstMarkerLost: the copy of a session's first marker does not come back,
// but that of the next one. The entry is written when the first is known.
func TestFirstMarkerLost(t *testing.T) {
	r := run(t, func(*Config) {})
	leave := make([]func(), len(r.workers))
	for i, w := range r.workers {
		leave[i] = r.holdOutbox(w)
	}
	dialled := make(chan *harness.Client, 1)
	go func() {
		c, err := harness.Dial(context.WithoutCancel(t.Context()), r.url, harness.DialOptions{})
		if err != nil {
			t.Error(err)
		}
		dialled <- c
	}()
	sid := ""
	r.until(func() error {
		for _, w := range r.workers {
			r.onLoop(w, func() {
				for id := range w.attachments {
					sid = id
				}
			})
		}
		if sid == "" {
			return errNotYet
		}
		return nil
	})
	if err := r.Node.store.PublishMarker(sid, 1, true); err != nil { // nobody has subscribed
		t.Fatal(err)
	}
	first := uint64(0)
	r.until(func() error {
		last, err := r.Node.store.LastSeqs(t.Context(), []string{sid})
		if first = last[sid]; err == nil && first == 0 {
			return errNotYet
		}
		return err
	})
	for _, f := range leave {
		f()
	}
	c := <-dialled
	if c == nil {
		return
	}
	defer c.Drop()
	if entry, _, err := r.dir.GetLatest(t.Context(), c.ID); err != nil || entry.Start != first || entry.Floor < first {
		t.Errorf("the entry has start %d and floor %d, the first marker is %d, %v", entry.Start, entry.Floor, first, err)
	}
}

// TestResumeInANewLog: a log begins anew at lower sequences, and the client has
// been told. When it names one of these, that is where it goes on.
func TestResumeInANewLog(t *testing.T) {
	r := run(t, func(*Config) {})
	r.store(scheme.NewSID(), 0, 100, 1) // somebody else's
	c := r.dial(harness.DialOptions{Acked: true})
	js, stream := r.mailboxes()
	if err := js.DeleteStream(t.Context(), stream.CachedInfo().Config.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), stream.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	r.store(c.ID, 0, 2, 1)
	if m, err := c.Next(t.Context()); err != nil || m.Type() != "gap" || m.At("bdy", "why") != "rollback" {
		t.Fatalf("told %s, %v", m.Raw, err)
	}
	r.gets(c, 0, 1)
	second, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Drop()
	again := r.dial(harness.DialOptions{Acked: true})
	body := harness.Object{"id": c.ID, "token": c.Token, "seq": strconv.FormatUint(second.Seq(), 10)}
	if m, err := again.Resume(t.Context(), "reconnect", body); err != nil || again.ID != c.ID {
		t.Fatalf("not resumed: %s, %v", m.Raw, err)
	}
	r.store(c.ID, 2, 3, 1)
	r.gets(again, 2, 3)
}

// TestAnchorIsRenewed: a session that is sent only messages with a time to live
// has nothing of them to rely on.
func TestAnchorIsRenewed(t *testing.T) {
	r := run(t, func(cfg *Config) { cfg.SessionTTL = 8 * time.Second })
	c := r.dial(harness.DialOptions{})
	_, stream := r.mailboxes()
	subject, err := scheme.MailboxSubject(c.ID)
	if err != nil {
		t.Fatal(err)
	}
	start, err := stream.GetLastMsgForSubject(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	seq, n := start.Sequence+1, 0
	r.until(func() error {
		text := fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","mid":"stored-%d","bdy":1}`, c.ID, n)
		last, err := r.Node.store.Publish(t.Context(), c.ID, store.Outgoing{Payload: text, TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		r.gets(c, n, n+1)
		for ; seq <= last; seq++ {
			m, err := stream.GetMsg(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			if m.Header.Get(scheme.HeaderMark) != "" && m.Header.Get("Nats-TTL") == "" {
				return nil
			}
		}
		n++
		return errors.New("there is no marker that stays")
	})
}

// TestYoungSession: a node may die before it has had to renew a session. So that
// others tell of its expiry, word is left when it is looked at for the first time.
func TestYoungSession(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, _ := r.crowd(1)
	words, err := r.nc.SubscribeSync("umf.v1.expiry.>")
	if err != nil {
		t.Fatal(err)
	}
	end := scheme.NewSID()
	subject, err := scheme.ExpirySubject(end)
	if err != nil {
		t.Fatal(err)
	}
	r.onLoop(w, w.renew)
	r.onLoop(w, w.renew)
	r.onLoop(w, func() { w.out.push(op{kind: stats.OpPublish, subject: subject}) })
	for _, sid := range []string{here[0].ID, end} {
		m, err := words.NextMsg(harness.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(m.Subject, "."+sid) {
			t.Errorf("word on %s, want one for %s", m.Subject, sid)
		}
	}
}

// TestSweepFindsNothing: a mailbox that has lost all it had is found as well.
func TestSweepFindsNothing(t *testing.T) {
	r := run(t, func(*Config) {})
	w, here, _ := r.crowd(1)
	r.store(here[0].ID, 0, 3, 1)
	r.gets(here[0], 0, 3)
	_, stream := r.mailboxes()
	subject, err := scheme.MailboxSubject(here[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(subject)); err != nil {
		t.Fatal(err)
	}
	r.store(scheme.NewSID(), 0, 1, 1) // somebody else's: what was between, nobody can tell
	r.moves(`hydrant_gaps_total{why="expired"}`, func() { r.onLoop(w, w.sweep) })
	r.store(here[0].ID, 3, 6, 1)
	r.gets(here[0], 3, 6)
}
