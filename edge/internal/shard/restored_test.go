package shard

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
)

// TestLostConnectionVoids: the store may go back between the loss of a connection and
// the next one, so that nothing of the old one counts as soon as the loss is known.
func TestLostConnectionVoids(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.do(s.Disconnected)
	l.store(c.id, 0, 2) // copies that were on their way
	l.advance(time.Minute)
	c.quiet()
	s.node.reconnect()
	c.gets(0, 2)
	l.store(c.id, 2, 3)
	c.gets(2, 3)
}

// TestLateWordOfALoss: copies of the next connection may come before the word that the
// one before it was lost, and that word must not be the last.
func TestLateWordOfALoss(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.node.epoch++
	l.store(c.id, 0, 2) // over the new one
	c.gets(0, 2)
	s.do(s.Disconnected)
	s.do(func() { s.Connected(s.node.epoch) })
	l.store(c.id, 2, 4)
	c.gets(2, 4)
}

// restore puts the mailboxes back to what they held up to a sequence.
func (b *broker) restore(seq uint64) {
	b.log = slices.DeleteFunc(b.log, func(m *stored) bool { return m.seq > seq })
	b.seq = seq
}

// TestResumeAfterARestore: the mailboxes were put back to a copy of before, and then
// filled again, up to the position that the directory has and beyond. A node that has
// been connected since then resumes the session: what stands at the position is another
// message, which only its time shows.
func TestResumeAfterARestore(t *testing.T) {
	const short, long = 13, 18 // the new log ends where the old position was, or beyond
	for _, c := range []struct {
		name string
		dial func(*testShard) *testClient
		end  int
	}{
		{"plain", (*testShard).dial, long}, {"plain, nothing beyond", (*testShard).dial, short},
		{"acked", (*testShard).dialAcked, long}, {"acked, nothing beyond", (*testShard).dialAcked, short},
	} {
		t.Run(c.name, func(t *testing.T) {
			dial, end := c.dial, c.end
			l := newLab(t)
			s := l.one()
			c := dial(s)
			start := l.nats.seq
			l.store(c.id, 0, 4)
			c.gets(0, 3)
			if last := c.next(); c.class == session.Acked {
				c.ack(last.text("hdr", "x-seq"))
			}
			c.drop()
			l.parked(c.id)

			l.nats.restore(start)
			there := l.node(1).shards[0]
			again := dial(there)
			l.store(c.id, 10, end)
			again.resumes(object{"id": string(c.id), "token": c.token})
			if c.class == session.Acked {
				if m := again.next(); m.text("typ") != protocol.TypeGap || m.text("bdy", "why") != "rollback" {
					t.Errorf("told %s", m.raw)
				}
			}
			again.gets(10, end)
		})
	}
}

// handled is an acked client's session that was parked when the client had handled more
// than the directory has.
type handled struct {
	*testClient
	kept  uint64 // what the directory has
	named string // what the client names
	end   int    // number of the message after the last one that was stored
}

func (s *testShard) handled() *handled {
	s.l.t.Helper()
	c := s.dialAcked()
	s.l.store(c.id, 0, 4)
	c.next()
	kept := c.next().text("hdr", "x-seq")
	c.ack(kept)
	c.next()
	h := &handled{testClient: c, named: c.next().text("hdr", "x-seq")} // and does not say so
	c.drop()
	s.l.parked(c.id)
	var err error
	if h.kept, err = strconv.ParseUint(kept, 10, 64); err != nil {
		s.l.t.Fatal(err)
	}
	return h
}

// putBack restores the store to what the directory has of a session, and has new messages
// of the very mailbox get the sequence that the client names, and more.
func (h *handled) putBack(nodes ...*testNode) {
	l := h.s.l
	l.nats.restore(h.kept)
	for _, n := range nodes {
		n.reconnect()
	}
	l.run()
	h.end = 10
	for more := 2; l.nats.last(h.id) < h.kept+2 || more > 0; h.end++ {
		if l.nats.last(h.id) >= h.kept+2 {
			more--
		}
		l.store(h.id, h.end, h.end+1)
	}
}

// rolledBack fails unless a client is told of a rollback, and gets the new messages.
func (h *handled) rolledBack(again *testClient) {
	h.s.l.t.Helper()
	if m := again.find(func(m message) bool { return m.text("typ") == protocol.TypeGap }); m.text("bdy", "why") != "rollback" {
		h.s.l.t.Fatalf("told %s", m.raw)
	}
	want := []string{"stored-0", "stored-1"}
	for i := 10; i < h.end; i++ {
		want = append(want, fmt.Sprintf("stored-%d", i))
	}
	var got []string
	for len(got) < len(want) {
		if m := again.next(); strings.HasPrefix(m.text("mid"), "stored-") {
			got = append(got, m.text("mid"))
		}
	}
	if !slices.Equal(got, want) {
		h.s.l.t.Errorf("got %v", got)
	}
}

// TestResumeAtAnotherLogsPosition: an acked client has handled more than the directory
// has, the store is put back, and a new message of the very mailbox gets the sequence that
// the client then names. A node that saw what was there before finds out that the log went
// back, and each node then knows it.
func TestResumeAtAnotherLogsPosition(t *testing.T) {
	for _, c := range []struct {
		name string
		at   func(saw, other, fresh *testShard) *testShard
	}{
		{"the node that saw it", func(saw, _, _ *testShard) *testShard { return saw }},
		{"another one", func(_, other, _ *testShard) *testShard { return other }},
		{"one that was started since", func(_, _, fresh *testShard) *testShard { return fresh }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			saw, other := l.node(2), l.node(1)
			h := saw.shards[1].handled()
			h.putBack(saw, other)
			again := c.at(saw.shards[0], other.shards[0], l.one()).dialAcked()
			again.resumes(object{"id": string(h.id), "token": h.token, "seq": h.named})
			h.rolledBack(again)
		})
	}
}

// TestLogGoesBackInAResume: the same, and the store is put back when the claim has read the
// entry, or when the session waits for what its mailbox has.
func TestLogGoesBackInAResume(t *testing.T) {
	for _, c := range []struct {
		name string
		hold func(*lab, scheme.SID)
	}{
		{"before the claim is written", func(l *lab, sid scheme.SID) {
			l.nats.faults.save = saving(sid, fails(store.ErrUnavailable))
		}},
		{"before the mailbox is read", func(l *lab, _ scheme.SID) {
			l.nats.faults.read = func(scheme.SID) fault { return fails(store.ErrUnavailable) }
		}},
	} {
		for _, young := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, of this connection %v", c.name, young), func(t *testing.T) {
				l := newLab(t)
				saw, other := l.node(1), l.node(1)
				if young {
					other.shards[0].dial() // whose marker tells when the connection began
					l.advance(2 * clockSkew)
				}
				h := saw.shards[0].handled()
				c.hold(l, h.id)
				again := other.shards[0].dialAcked()
				again.asks(object{"id": string(h.id), "token": h.token, "seq": h.named})
				l.advance(time.Second)
				h.putBack(saw, other)
				l.nats.faults = faults{}
				l.advance(5 * time.Second)
				h.rolledBack(again)
			})
		}
	}
}

// TestParkedUnsure: a session is parked when the log may have gone back, so that its entry
// is younger than the note that it has, and says nothing of the log that there is.
func TestParkedUnsure(t *testing.T) {
	l := newLab(t)
	saw, other := l.node(1), l.node(1)
	h := saw.shards[0].handled()
	l.nats.faults.read = func(scheme.SID) fault { return fails(store.ErrUnavailable) }
	again := saw.shards[0].dialAcked()
	again.resumes(object{"id": string(h.id), "token": h.token, "seq": h.named})
	h.putBack(saw, other)
	again.drop()
	l.parked(h.id)
	if e := l.entry(h.id); !e.Unsure && !e.Back {
		t.Errorf("%+v", e)
	}
	l.nats.faults = faults{}
	again = other.shards[0].dialAcked()
	again.resumes(object{"id": string(h.id), "token": h.token, "seq": h.named})
	h.rolledBack(again)
}

// TestParkedUnsureAfterANote: the log went back, which the client was told of; it goes on in
// the new one, and is parked when that could have gone back as well, which it did not. What
// was noted before says nothing of what the client has handled since, however short a time
// ago that was.
func TestParkedUnsureAfterANote(t *testing.T) {
	l := newLab(t)
	saw, other := l.node(1), l.node(1)
	h := saw.shards[0].handled()
	h.putBack(saw, other)
	again := saw.shards[0].dialAcked()
	again.resumes(object{"id": string(h.id), "token": h.token, "seq": h.named})
	h.rolledBack(again)
	l.store(h.id, 50, 52)
	again.ack(again.next().text("hdr", "x-seq"))
	l.advance(6 * time.Second) // a checkpoint, sooner than clocks may differ
	l.store(h.id, 52, 53)
	again.next()
	named := again.next().text("hdr", "x-seq") // and does not say so
	l.nats.faults.read = func(scheme.SID) fault { return fails(store.ErrUnavailable) }
	saw.reconnect()
	l.run()
	again.drop()
	l.parked(h.id)
	if e := l.entry(h.id); !e.Unsure {
		t.Fatalf("%+v", e)
	}
	l.nats.faults = faults{}
	again = other.shards[0].dialAcked()
	again.resumes(object{"id": string(h.id), "token": h.token, "seq": named})
	l.store(h.id, 53, 54)
	if m := again.next(); m.text("mid") != "stored-53" {
		t.Errorf("got %s", m.raw)
	}
}

// TestPositionsOfThisConnection: what was stored since this connection began is of the
// log that there is; all else may be of one that went back.
func TestPositionsOfThisConnection(t *testing.T) {
	const began = int64(1_700_000_000e9)
	at := func(floor, seen int64) scheme.Position {
		return scheme.Position{Floor: 5, FloorTime: floor, Seen: 4, SeenTime: seen}
	}
	since := logTime{marks: 7}
	since.marked(7, began-1) // sent over the connection before
	if !since.older(at(began+int64(time.Hour), 0)) {
		t.Error("without a marker of this connection no position is of this log")
	}
	since.marked(8, began)
	since.marked(9, began+5)
	for p, older := range map[scheme.Position]bool{
		at(0, 0):                              true,
		at(began, 0):                          true,
		at(began+int64(clockSkew), began):     true, // by the clock of another server
		at(began+int64(clockSkew)+1, 0):       false,
		at(0, began+int64(clockSkew)+1):       false,
		at(1, began+int64(clockSkew)+1):       false,
		at(began-int64(time.Hour), began-5e9): true,
	} {
		if since.older(p) != older {
			t.Errorf("%+v: older %v", p, !older)
		}
	}
}

// TestClaimAfterARestore: the directory was put back to an older state, and another node
// has taken a session from there, which its holder has not heard of. All revisions are
// below those that the holder knows. The newer socket keeps the session.
func TestClaimAfterARestore(t *testing.T) {
	l := newLab(t)
	here, there := l.node(1), l.node(1)
	old := here.shards[0].dial()
	l.advance(time.Second)
	before := *l.nats.entries[old.id]
	l.nats.rev += 100 // other sessions
	for i := range 5 {
		l.store(old.id, i, i+1)
		old.gets(i, i+1)
		l.advance(10 * time.Second) // a checkpoint
	}
	if l.nats.entries[old.id].rev < before.rev+100 {
		t.Fatal("the holder writes nothing")
	}
	here.cutOff()
	l.advance(10 * time.Second)
	l.nats.entries[old.id], l.nats.rev = &before, before.rev

	again := there.shards[0].dial()
	again.resumes(object{"id": string(old.id), "token": old.token})
	again.gets(0, 5)
	here.rejoin()
	old.closed(protocol.CloseTakenOver)
	l.store(old.id, 5, 7)
	again.gets(5, 7)
}

// TestClientOfTheOldLog: the mailboxes were put back to a copy of before, which the
// holder has found out; the client has not heard of it when it goes. What it says that
// it has handled is of the old log, also where another message of its own stands there
// now.
func TestClientOfTheOldLog(t *testing.T) {
	for name, end := range map[string]func(l *lab, c *testClient){
		"parked":      func(l *lab, c *testClient) { c.drop(); l.parked(c.id) },
		"handed over": func(*lab, *testClient) {},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			here, there := l.node(1), l.node(1)
			c := here.shards[0].dialAcked()
			l.advance(time.Second)
			start, before := l.nats.seq, *l.nats.entries[c.id]
			l.store(c.id, 0, 4)
			c.gets(0, 3)
			last := c.next().text("hdr", "x-seq")
			c.ack(last)
			l.advance(10 * time.Second)

			here.cutOff()
			l.nats.restore(start)
			l.nats.entries[c.id] = &before
			here.rejoin()
			l.run()
			end(l, c)
			again := there.shards[0].dialAcked()
			l.store(c.id, 10, 18)
			again.resumes(object{"id": string(c.id), "token": c.token, "seq": last})
			if m := again.next(); m.text("typ") != protocol.TypeGap || m.text("bdy", "why") != "rollback" {
				t.Fatalf("told %s", m.raw)
			}
			again.gets(10, 18)
		})
	}
}

// TestOneNoteOfALog: of nodes that saw what is gone one notes that, and once: entries that
// are written after that are of the log that there is.
func TestOneNoteOfALog(t *testing.T) {
	l := newLab(t)
	one, other := l.node(2), l.node(1)
	clients := []*testClient{one.shards[0].dial(), other.shards[0].dial()}
	for part := one.Mailboxes.PartitionOf; part(clients[1].id) != part(clients[0].id); {
		clients[1] = other.shards[0].dial()
	}
	begin := l.nats.seq
	for _, c := range clients {
		l.store(c.id, 0, 2)
		c.gets(0, 2)
	}
	l.nats.restore(begin)
	for again := range 3 {
		for _, n := range []*testNode{one, other} {
			n.reconnect()
			l.run()
		}
		l.advance(time.Minute)
		if len(l.nats.notes) != 1 {
			t.Fatalf("notes %v", l.nats.notes)
		}
		for _, c := range clients {
			l.store(c.id, 10+again, 11+again)
			c.gets(10+again, 11+again)
		}
	}
}

// TestLateCopiesAreNoSightings: copies of the connection before may come when the next one
// is known, and are of the log that was.
func TestLateCopiesAreNoSightings(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.store(c.id, 0, 1)
	c.gets(0, 1)
	all := l.nats.alive()
	late := *all[slices.IndexFunc(all, func(m *stored) bool { return m.sid == c.id && m.mark == 0 })]
	late.seq, late.at = l.nats.seq+5, l.clock().Add(time.Second).UnixNano()
	s.deaf = true // its marker is not back yet
	s.node.reconnect()
	l.run()
	s.do(func() { s.copies([]*nats.Msg{late.copy(l.nats.seq)}, s.node.epoch) })
	s.deaf = false
	l.advance(time.Minute)
	s.node.reconnect()
	l.advance(time.Minute)
	if len(l.nats.notes) != 0 {
		t.Errorf("notes %v", l.nats.notes)
	}
}

// TestRollbackIsCalledOne: a client that says nothing of what it has handled is told of the
// rollback that the directory knows of, and not of an overflow.
func TestRollbackIsCalledOne(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dialAcked()
	l.store(c.id, 0, 2)
	c.gets(0, 2)
	c.drop()
	l.parked(c.id)
	l.change(c.id, func(e *scheme.Entry) { e.Position = scheme.Position{Floor: 40, Seen: 50, Back: true} })
	again := s.dialAcked()
	again.resumes(object{"id": string(c.id), "token": c.token})
	if m := again.find(func(m message) bool { return m.text("typ") == protocol.TypeGap }); m.text("bdy", "why") != "rollback" {
		t.Errorf("told %s", m.raw)
	}
	again.gets(0, 2)
}

// TestPositionThatWasKept: the log went back, but not as far as what a client names, though
// its entry is older than the note.
func TestPositionThatWasKept(t *testing.T) {
	l := newLab(t)
	saw, other := l.node(1), l.node(1)
	h := saw.shards[0].handled()
	at := l.nats.seq
	c := saw.shards[0].dial()
	for saw.Mailboxes.PartitionOf(c.id) != saw.Mailboxes.PartitionOf(h.id) {
		c = saw.shards[0].dial()
	}
	l.store(c.id, 20, 23)
	c.gets(20, 23)
	l.nats.restore(at)
	saw.reconnect()
	other.reconnect()
	l.advance(time.Minute)
	if len(l.nats.notes) != 1 {
		t.Fatalf("notes %v", l.nats.notes)
	}
	again := other.shards[0].dialAcked()
	again.resumes(object{"id": string(h.id), "token": h.token, "seq": h.named})
	l.store(h.id, 4, 6)
	again.gets(4, 6)
}
