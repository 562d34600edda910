package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/takeover"
)

// Sessions that go from one node to another.

// lastPong is how long a session waits for its client's last confirmation.
const lastPong = 150 * time.Millisecond

// moving is a session on one node, with a message that its client has not
// confirmed, and a client on another.
func moving(t *testing.T) (l *lab, old, c *testClient) {
	t.Helper()
	l = newLab(t)
	there, here := l.one(), l.one()
	old, c = there.dialWith(dialOptions{noPong: true}), here.dial()
	l.advance(time.Second)
	l.store(old.id, 0, 1)
	old.gets(0, 1)
	return l, old, c
}

// claimed waits until a claim of a client is written, and returns for how long.
func (c *testClient) claimed(sid scheme.SID) time.Duration {
	c.l.t.Helper()
	began := c.l.now
	c.l.until("a claim", func() bool { return c.l.entry(sid).Node == c.s.node.ID })
	return c.l.now - began
}

// TestHandOverWaitsForThePong: what the client has read is not sent again, if it
// says so in time. What is stored meanwhile is the next owner's to send.
func TestHandOverWaitsForThePong(t *testing.T) {
	l, old, c := moving(t)
	c.asks(object{"id": string(old.id)})
	l.advance(lastPong / 2)
	l.store(old.id, 1, 2)
	old.quiet()
	old.pong()
	if took := c.claimed(old.id); took > 0 {
		t.Errorf("it took %v after the pong", took)
	}
	if m := c.next(); m.text("bdy", "id") != string(old.id) {
		t.Fatalf("got %s", m.raw)
	}
	c.gets(1, 2)
	old.closed(protocol.CloseTakenOver)
	old.quiet()
}

// TestHandOverWithoutPong: a client that is gone costs its successor a moment, and
// a repeat.
func TestHandOverWithoutPong(t *testing.T) {
	l, old, c := moving(t)
	c.asks(object{"id": string(old.id)})
	if took := c.claimed(old.id); took != lastPong {
		t.Errorf("it took %v", took)
	}
	if m := c.next(); m.text("bdy", "id") != string(old.id) {
		t.Fatalf("got %s", m.raw)
	}
	c.gets(0, 1)
	old.closed(protocol.CloseTakenOver)
	l.run()
}

// TestHandOverWhenTheSocketGoes: there is nothing to wait for any more.
func TestHandOverWhenTheSocketGoes(t *testing.T) {
	l, old, c := moving(t)
	c.asks(object{"id": string(old.id)})
	l.run()
	old.drop()
	if took := c.claimed(old.id); took > 0 {
		t.Errorf("it took %v", took)
	}
	l.advance(time.Second)
	if e := l.entry(old.id); e.State != scheme.StateLive || e.Node != c.s.node.ID {
		t.Errorf("%+v", e)
	}
}

// TestHandOverAfterAStall: what was queued does not leave, and the answer is not
// kept from the node that asks.
func TestHandOverAfterAStall(t *testing.T) {
	l, old, c := moving(t)
	c.asks(object{"id": string(old.id)})
	l.run()
	old.s.do(func() {
		old.queues()
		old.s.Stalled(time.Minute)
	})
	if took := c.claimed(old.id); took > 0 {
		t.Errorf("it took %v", took)
	}
	old.closed(protocol.CloseTakenOver)
	old.quiet()
}

// TestHandOverWhileReconnecting: the same after a new connection to NATS.
func TestHandOverWhileReconnecting(t *testing.T) {
	l, old, c := moving(t)
	c.asks(object{"id": string(old.id)})
	l.run()
	old.s.node.reconnect()
	if took := c.claimed(old.id); took > 0 {
		t.Errorf("it took %v", took)
	}
	old.closed(protocol.CloseTakenOver)
}

// TestAckedHandOver: a client that confirms says to the next owner what it has.
func TestAckedHandOver(t *testing.T) {
	l := newLab(t)
	there, here := l.one(), l.one()
	old, c := there.dialAcked(), here.dialAcked()
	l.store(old.id, 0, 2)
	seq := old.next().text("hdr", "x-seq")
	began := l.now
	c.resumes(object{"id": string(old.id), "token": old.token, "seq": seq})
	if took := l.now - began; took > 0 {
		t.Errorf("it took %v", took)
	}
	c.gets(1, 2)
}

// TestHandOverDeclined: an older socket of the same client asks.
func TestHandOverDeclined(t *testing.T) {
	l := newLab(t)
	there, here := l.one(), l.one()
	first, newer, older := there.dial(), there.dial(), here.dial()
	newer.resumes(object{"id": string(first.id), "attempt": 5})
	// The older one has read the entry from before.
	l.nats.strangers[there.node.ID] = func(data []byte) (takeover.Answer, ownership.Reply) {
		r, err := takeover.ParseRequest(scheme.NodeInbox+".x", data)
		if err != nil {
			t.Fatal(err)
		}
		answer := takeover.Answer{}
		there.do(func() { there.HandOver(&r, func(a takeover.Answer) { answer = a }) })
		return answer, ownership.Given
	}
	l.change(first.id, func(e *scheme.Entry) { e.Attempt = 0 })
	here.node.counts(`hydrant_resumes_total{result="lost"}`, func() {
		older.asks(object{"id": string(first.id), "attempt": 4})
	})
	older.closed(protocol.CloseTakenOver)
	newer.serves()
	l.store(first.id, 0, 1)
	newer.gets(0, 1)
}

// TestTwoAskForOne: both are answered, also the one that comes during the last
// wait; one of them has the session.
func TestTwoAskForOne(t *testing.T) {
	l, old, one := moving(t)
	two := l.one().dial()
	one.asks(object{"id": string(old.id)})
	l.advance(lastPong / 2)
	two.asks(object{"id": string(old.id)})
	l.advance(5 * time.Second)
	if (one.code == 0) == (two.code == 0) {
		t.Errorf("closed with %d and %d", one.code, two.code)
	}
	old.closed(protocol.CloseTakenOver)
}

// TestHandOverBeforeTheWelcome: a session is asked for again while its next socket
// waits for it. It goes on to the newest.
func TestHandOverBeforeTheWelcome(t *testing.T) {
	for steps := range 25 {
		l := newLab(t)
		s, one, sid := l.crowdWithout()
		l.store(sid, 0, 2)
		two := l.one().dial()
		l.nats.faults.save = func(*egress.Op) fault { return fault{after: 10 * time.Millisecond} }
		one.asks(object{"id": string(sid), "attempt": 1})
		for range steps {
			l.step(l.now + 50*time.Millisecond)
		}
		two.asks(object{"id": string(sid), "attempt": 2})
		if m := two.find(func(m message) bool { return m.text("typ") == "connection" }); m.text("bdy", "id") != string(sid) {
			t.Fatalf("after %d steps: %s", steps, m.raw)
		}
		one.closed(protocol.CloseTakenOver)
		l.store(sid, 2, 3)
		two.find(func(m message) bool { return m.text("mid") == "stored-2" })
		if len(s.claims) != 0 || s.held[sid] != nil {
			t.Errorf("after %d steps the session is still held", steps)
		}
	}
}

// TestRequestIsLost: a node is asked, and does not hear it. It is asked in vain,
// and finds out by the marker of the next owner.
func TestRequestIsLost(t *testing.T) {
	l, old, c := moving(t)
	old.pong()
	l.advance(time.Second) // that is written down
	l.nats.strangers[old.s.node.ID] = func([]byte) (takeover.Answer, ownership.Reply) {
		return takeover.Answer{}, ownership.Silence
	}
	c.asks(object{"id": string(old.id)})
	if m := c.find(func(m message) bool { return m.text("typ") == "connection" }); m.text("bdy", "id") != string(old.id) {
		t.Fatalf("got %s", m.raw)
	}
	l.store(old.id, 1, 3)
	c.gets(1, 3)
	old.closed(protocol.CloseTakenOver)
	old.quiet()
}
