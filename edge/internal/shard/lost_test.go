package shard

import (
	"fmt"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// What a shard does about a session that it lost without having been asked for
// it: the other node could not reach it, or the store has lost the entry.

// queues puts a message into the socket's queue, in the iteration that calls it.
func (c *testClient) queues() {
	c.Client.send(stats.OutMailbox, fmt.Appendf(nil, `{"to":"%s","frm":"test:/","mid":"queued","bdy":1}`, c.address()))
}

// saving makes a fault of all writes of one session's entry.
func saving(sid scheme.SID, f fault) func(*egress.Op) fault {
	return func(op *egress.Op) fault {
		if op.SID == sid {
			return f
		}
		return fault{}
	}
}

// TestSessionComesBackToItsLoop: a session went to another node that could not
// reach this one, and is resumed here before this node has noticed. The socket
// that had it is closed all the same.
func TestSessionComesBackToItsLoop(t *testing.T) {
	l := newLab(t)
	s := l.one()
	old, again := s.dial(), s.dial()
	l.steal(old.id, scheme.StateParked)
	again.resumes(object{"id": string(old.id)})
	old.closed(protocol.CloseTakenOver)
	l.store(old.id, 0, 3)
	again.gets(0, 3)
}

// TestDoubtStopsTheSession: a checkpoint that is refused says that the session
// may be another node's. Until the directory has told, nothing is written.
func TestDoubtStopsTheSession(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.steal(c.id, scheme.StateLive)
	s.node.pool.hold()
	s.node.counts(`hydrant_directory_writes_total{result="fenced"}`, func() {
		l.store(c.id, 0, 1) // its delivery is to be written down
		c.gets(0, 1)
	})
	l.store(c.id, 1, 2)
	l.push(c.id, numbered(c.id, 7))
	c.quiet()
	s.node.pool.let()
	c.closed(protocol.CloseTakenOver)
	c.quiet()
}

// TestAnothersMarker: a session goes to a node that could not reach this one.
// What is stored after that node has attached comes behind its marker.
func TestAnothersMarker(t *testing.T) {
	l := newLab(t)
	s := l.one()
	moved, kept := s.dial(), s.dial()
	l.steal(moved.id, scheme.StateLive)
	for _, c := range []*testClient{moved, kept} {
		s.node.counts(`hydrant_session_events_total{what="doubted"}`, func() {
			l.nats.mark(c.id, 1, false)
			l.store(c.id, 0, 3)
		})
	}
	moved.closed(protocol.CloseTakenOver)
	moved.quiet()
	kept.gets(0, 3)
}

// TestUnreadableEntry: what this node cannot read it has not written.
func TestUnreadableEntry(t *testing.T) {
	l := newLab(t)
	c := l.one().dial()
	l.nats.write(c.id, []byte("of a later version"))
	l.store(c.id, 0, 1) // its delivery is to be written down
	c.closed(protocol.CloseTakenOver)
}

// TestSessionWithoutEntry: the store has forgotten a session that is connected.
// No other node has it, so its client is to come back, for a new one.
func TestSessionWithoutEntry(t *testing.T) {
	l := newLab(t)
	c := l.one().dial()
	delete(l.nats.entries, c.id)
	l.store(c.id, 0, 1) // its delivery is to be written down
	c.closed(protocol.CloseRestart)
	if last := l.nats.events[len(l.nats.events)-1]; last.What != scheme.SessionExpired || last.Session != c.id {
		t.Errorf("told %+v", last)
	}
}

// TestStallWithoutNATS: what was queued when the process stopped may be another
// node's to send by the time that it goes on. If the directory cannot be asked,
// it does not leave; a client for whom nothing was queued keeps its connection.
func TestStallWithoutNATS(t *testing.T) {
	l := newLab(t)
	s := l.one()
	busy, quiet := s.dial(), s.dial()
	s.node.cutOff()
	s.do(func() {
		busy.queues()
		s.Stalled(time.Minute)
	})
	busy.closed(protocol.CloseOverload)
	busy.quiet()
	quiet.serves()
	l.store(quiet.id, 0, 2)
	quiet.quiet()
	s.node.rejoin()
	quiet.gets(0, 2)
}

// TestStallWhileVerifying: what the directory said before a stall proves
// nothing after it.
func TestStallWhileVerifying(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.do(func() {
		c.queues()
		s.Stalled(time.Minute)
	})
	s.doze()
	l.run() // the answer is there, and waits for the loop
	if len(s.backlog) == 0 {
		t.Fatal("there is no answer")
	}
	l.steal(c.id, scheme.StateLive)
	s.awake(time.Minute)
	c.closed(protocol.CloseTakenOver)
	c.quiet()
}

// TestStallIsProved: once the directory has taken a write, what was queued at the
// stall leaves, and what came meanwhile.
func TestStallIsProved(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.nats.faults.save = saving(c.id, fault{after: 300 * time.Millisecond})
	s.do(func() {
		c.queues()
		s.Stalled(time.Minute)
	})
	l.store(c.id, 0, 2)
	c.quiet()
	if m := c.next(); m.text("mid") != "queued" {
		t.Errorf("got %s", m.raw)
	}
	c.gets(0, 2)
}

// TestLateProof: an acknowledgement that took too long proves nothing.
func TestLateProof(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	late, writes := 800*time.Millisecond, 0
	l.nats.faults.save = func(*egress.Op) fault {
		writes++
		if writes == 1 {
			return fault{after: late}
		}
		return fault{after: 10 * time.Millisecond}
	}
	s.do(func() { s.Stalled(time.Minute) })
	l.store(c.id, 0, 1)
	l.advance(late)
	c.quiet()
	c.gets(0, 1)
	if writes != 2 {
		t.Errorf("%d writes", writes)
	}
}

// TestRetiredWhileFrozen: a client is closed for its age while its socket is
// frozen since a stall, and then its session proves to be another's. It is told
// why it was closed, and nothing of what was queued.
func TestRetiredWhileFrozen(t *testing.T) {
	l := newLab(t)
	s := l.one(func(n *Node) { n.Config.MaxConnectionAge = time.Hour })
	c := s.dial()
	l.nats.faults.save = saving(c.id, fault{late: time.Second})
	s.do(func() {
		c.queues()
		s.Stalled(time.Minute)
		c.retireAt = 1
		s.retire()
	})
	l.run()
	if c.sock.state != socketClosing || c.code != 0 {
		t.Fatalf("in state %d, closed with %d", c.sock.state, c.code)
	}
	l.steal(c.id, scheme.StateLive)
	c.closed(protocol.CloseRestart)
	c.quiet()
}

// TestDrainedWhileFrozen: the same, where the session proves to be this node's.
func TestDrainedWhileFrozen(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.nats.faults.save = saving(c.id, fault{late: 100 * time.Millisecond})
	s.do(func() {
		c.queues()
		s.Stalled(time.Minute)
		s.Drain(0, func() {})
	})
	if m := c.next(); m.text("mid") != "queued" {
		t.Errorf("got %s", m.raw)
	}
	c.closed(protocol.CloseRestart)
	l.parked(c.id)
}

// TestPongWhileVerifying: what the client has read it has read, whichever node
// has the session. Its socket may be gone before that is known.
func TestPongWhileVerifying(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dialWith(dialOptions{noPong: true})
	l.store(c.id, 0, 1)
	c.gets(0, 1)
	seq := l.nats.last(c.id)
	s.out.hold()
	s.node.reconnect()
	h := c.has
	if h.served() || h.core.Floor() >= seq {
		t.Errorf("served %v, floor %d before the pong for %d", h.served(), h.core.Floor(), seq)
	}
	c.pong()
	if floor := h.core.Floor(); floor != seq {
		t.Errorf("floor %d after the pong for %d", floor, seq)
	}
}

// TestDoubtWithoutAnswer: what a client does while its session is in doubt has its
// effect afterwards.
func TestDoubtWithoutAnswer(t *testing.T) {
	l := newLab(t)
	s := l.one(func(n *Node) { n.Config.Window = 2 })
	c := s.dialAcked()
	l.store(c.id, 0, 4)
	c.gets(0, 1)
	second := c.next()
	l.nats.faults.save = saving(c.id, fails(store.ErrUnavailable))
	s.node.reconnect()
	l.advance(3 * time.Second)
	c.ack(second.text("hdr", "x-seq"))
	c.quiet()
	c.serves()
	l.nats.faults.save = nil
	c.gets(2, 4)
}
