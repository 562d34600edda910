package shard

import (
	"testing"
	"time"

	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
)

// How a node ends connections.

// TestDrain: the clients are closed evenly over the time, and it is over when all
// sessions are parked.
func TestDrain(t *testing.T) {
	const count, spread = 100, 10 * time.Second
	l := newLab(t)
	s := l.one()
	var clients []*testClient
	for range count {
		clients = append(clients, s.dial())
	}
	done := time.Duration(0)
	began := l.now
	s.do(func() { s.Drain(spread, func() { done = l.now - began }) })
	for tenth := 1; tenth <= 10; tenth++ {
		l.advance(spread / 10)
		closed := 0
		for _, c := range clients {
			if c.code == protocol.CloseRestart.Number() {
				closed++
			}
		}
		if closed < tenth*10-1 || closed > tenth*10+1 {
			t.Errorf("%d are closed after %d tenths", closed, tenth)
		}
	}
	l.advance(drainTick)
	if done == 0 || done > spread+drainTick {
		t.Errorf("it took %v", done)
	}
	for _, c := range clients {
		l.parked(c.id)
	}
}

// TestDrainWaits: for sessions that cannot be parked yet, and for clients that are
// slow to answer.
func TestDrainWaits(t *testing.T) {
	l := newLab(t)
	s := l.one()
	mute, c := s.dial(), s.dial()
	mute.silent = true
	l.run()
	l.nats.faults.save = saving(c.id, fails(store.ErrUnavailable))
	done := false
	s.do(func() { s.Drain(0, func() { done = true }) })
	c.closed(protocol.CloseRestart)
	l.advance(time.Second)
	l.nats.faults.save = nil
	l.advance(10 * time.Second)
	if done {
		t.Error("it does not wait for the client")
	}
	mute.drop()
	l.until("the end", func() bool { return done })
}

// TestDrainOfNone: there is nothing to wait for.
func TestDrainOfNone(t *testing.T) {
	s := newLab(t).one()
	done := false
	s.do(func() { s.Drain(time.Minute, func() { done = true }) })
	s.l.advance(drainTick)
	if !done {
		t.Error("it waits")
	}
}

// TestDrainWithClaim: a claim that is under way comes to an end, too.
func TestDrainWithClaim(t *testing.T) {
	l := newLab(t)
	s, c, sid := l.crowdWithout()
	s.node.pool.hold()
	c.asks(object{"id": string(sid)})
	l.run()
	done := false
	s.do(func() { s.Drain(0, func() { done = true }) })
	l.advance(time.Second)
	c.closed(protocol.CloseRestart)
	s.node.pool.let()
	l.until("the end", func() bool { return done })
	if len(s.claims) != 0 {
		t.Error("the claim is left")
	}
	l.parked(sid)
}

// TestShed: a few are closed at a time, first those with large buffers, and what
// is queued for them is not waited for.
func TestShed(t *testing.T) {
	const count = 100
	l := newLab(t)
	s := l.one()
	var clients []*testClient
	for range count {
		clients = append(clients, s.dial())
	}
	for _, c := range clients[60:62] {
		c.hangs()
		c.sock.extra = 16 << 10
		l.store(c.id, 0, 1)
	}
	closed := func() (n int) {
		for _, c := range clients {
			if c.closing {
				n++
			}
		}
		return n
	}
	for _, c := range clients[96:] {
		c.sock.extra = 400
	}
	s.do(s.Shed)
	if n := closed(); n != 3 || !clients[60].closing || !clients[61].closing {
		t.Errorf("%d are closed", n)
	}
	s.do(s.Shed)
	if n := closed(); n != 6 {
		t.Errorf("%d are closed", n)
	}
	for i, c := range clients[:96] {
		if c.closing && i != 60 && i != 61 {
			t.Errorf("client %d is closed, which holds nothing", i)
		}
	}
	s.do(s.Shed) // then whoever is there
	if n := closed(); n != 9 {
		t.Errorf("%d are closed", n)
	}
	clients[60].reads()
	clients[60].closed(protocol.CloseOverload)
	clients[60].quiet()
	again := s.dial()
	l.parked(clients[60].id)
	again.resumes(object{"id": string(clients[60].id)})
	again.gets(0, 1)
}

// TestTokenEnds: a connection lives as long as its token.
func TestTokenEnds(t *testing.T) {
	l := newLab(t)
	s := l.one()
	ends := func(at time.Duration) dialOptions {
		return dialOptions{Arrival: Arrival{Identity: access.Identity{Name: "ann", Expires: l.clock().Add(at)}}}
	}
	c, gone := s.dialWith(ends(time.Hour)), s.dialWith(ends(time.Hour))
	l.advance(time.Hour - time.Second)
	c.serves()
	gone.drop()
	l.advance(time.Second)
	c.closed(protocol.CloseUnauthentic)
	late := s.knock(ends(-time.Hour))
	l.advance(time.Second)
	late.closed(protocol.CloseUnauthentic)
}

// TestRefused: a client without a valid token is told so, and gets no session.
func TestRefused(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.knock(dialOptions{Arrival: Arrival{Refusal: "no"}})
	c.closed(protocol.CloseUnauthentic)
	c.quiet()
	if len(s.held) != 0 || c.reason != "no" {
		t.Errorf("%d sessions; told %q", len(s.held), c.reason)
	}
}

// TestLastBarrier: what a client has read before it is closed it need not get
// again.
func TestLastBarrier(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.do(func() {
		l.nats.append(&stored{sid: c.id, data: numbered(c.id, 0)})
		s.pump()
	})
	l.run()
	s.do(func() { s.Drain(0, func() {}) })
	c.gets(0, 1)
	l.parked(c.id)
	if e := l.entry(c.id); e.Floor != l.nats.last(c.id) {
		t.Errorf("%+v", e)
	}
}
