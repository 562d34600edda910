package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/takeover"
)

// TestParkFails: a session whose socket is gone, and whose entry is refused as
// often as it is tried. The last checkpoint is what a resume goes on from.
func TestParkFails(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.store(c.id, 0, 2)
	c.gets(0, 2)
	l.until("a checkpoint", func() bool { return l.entry(c.id).Floor == l.nats.last(c.id) })
	l.run()
	const refused, failed = `hydrant_directory_writes_total{result="error"}`, `hydrant_session_events_total{what="park_failed"}`
	before := s.node.metric(refused)
	l.nats.faults.save = saving(c.id, fails(store.ErrRefused))
	s.node.counts(failed, c.drop)
	if n := s.node.metric(refused) - before; n != 9 {
		t.Errorf("tried %v times", n)
	}
	if len(s.held) != 0 {
		t.Error("the session is still held")
	}
	l.nats.faults.save = nil
	l.store(c.id, 2, 4)
	again := s.dial()
	again.resumes(object{"id": string(c.id)})
	again.gets(2, 4)
}

// TestParkIsRepeated: an answer that does not come says nothing. If the write was
// taken, its repetition is refused, and a read tells.
func TestParkIsRepeated(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.run()
	l.nats.faults.save = saving(c.id, fault{err: store.ErrUnconfirmed})
	c.drop()
	l.run()
	if len(s.held) != 1 {
		t.Errorf("%d sessions are held", len(s.held))
	}
	l.nats.faults.save = nil
	l.until("an end", func() bool { return len(s.held) == 0 })
	if e := l.entry(c.id); e.State != scheme.StateParked {
		t.Errorf("%+v", e)
	}
}

// TestParkOfAnothers: the session has gone elsewhere before its socket went.
func TestParkOfAnothers(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.steal(c.id, scheme.StateLive)
	s.node.counts(`hydrant_session_events_total{what="lost"}`, c.drop)
	if e := l.entry(c.id); e.State != scheme.StateLive || len(s.held) != 0 {
		t.Errorf("%+v, %d are held", e, len(s.held))
	}
}

// asksFor sends a node the question for a session, and returns its answer.
func (n *testNode) asksFor(k takeover.Key, attempt uint64) (kind ownership.Reply, given takeover.Answer) {
	n.l.t.Helper()
	over := false
	n.l.spawn(func() {
		var err error
		kind, given, err = fakePeers{n}.Ask(n.l.stopped, n.ID, takeover.NewRequest(k, attempt))
		over = err == nil
	})
	n.l.until("an answer", func() bool { return over })
	n.l.run()
	return kind, given
}

// TestGivenTwice: who asks again, since the answer was lost, is told the same. A
// loop remembers a bounded number of answers; who asks for one that it has
// forgotten is told that the session is not here, and goes by the directory.
func TestGivenTwice(t *testing.T) {
	l := newLab(t)
	n := l.node(2)
	s := n.shards[1]
	c := s.dial()
	key := takeover.Key{SID: c.id, Holder: l.entry(c.id).Holder}
	kind, first := n.asksFor(key, 0)
	c.closed(protocol.CloseTakenOver)
	if kind != ownership.Given || first.Floor != l.entry(c.id).Floor {
		t.Fatalf("answered %v, %+v", kind, first)
	}
	if kind, again := n.asksFor(key, 0); kind != ownership.Given || again != first {
		t.Errorf("answered %v, %+v, and before %+v", kind, again, first)
	}
	const remembered = 4096
	n.counts(`hydrant_dropped_total{reason="given_away"}`, func() {
		for i := range remembered {
			s.given.Put(takeover.Key{SID: scheme.NewSID(), Holder: uint64(i)}, takeover.Answer{Found: true}, l.clock())
		}
	})
	if kind, _ := n.asksFor(key, 0); kind != ownership.Stranger {
		t.Errorf("answered %v", kind)
	}
	n.shards[0].dial().resumes(object{"id": string(c.id)})
}

// TestStrangerAsks: only who knows the holder is given the session.
func TestStrangerAsks(t *testing.T) {
	l := newLab(t)
	n := l.node(2)
	c := n.shards[0].dial()
	for _, key := range []takeover.Key{
		{SID: c.id, Holder: l.entry(c.id).Holder + 1}, {SID: scheme.NewSID(), Holder: 1},
	} {
		if kind, _ := n.asksFor(key, 0); kind != ownership.Stranger {
			t.Errorf("answered %v", kind)
		}
	}
	c.serves()
}

// TestJunkAmongCopies: what is no request, and no copy, is passed over.
func TestJunkAmongCopies(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	for _, data := range []string{"", "{", `{"do":"kick"}`} {
		m := (&stored{sid: c.id, data: []byte(data)}).copy(0)
		m.Subject = scheme.NodeSubject(s.node.ID)
		s.receive(m)
	}
	l.run()
	c.serves()
	l.advance(time.Second)
}
