package shard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hydrant/edge/internal/protocol"
)

// What clients have sent before they knew of a planned close.

// midsOf are the mids of what reached NATS with one of the test's own.
func (b *broker) midsOf(prefix string) (list []string) {
	for _, m := range b.sent() {
		if _, rest, ok := strings.Cut(string(m.Data), `"mid":"`+prefix); ok {
			mid, _, _ := strings.Cut(rest, `"`)
			list = append(list, prefix+mid)
		}
	}
	return list
}

// wantSent expects messages of a prefix and number, in order, all of them once.
func (l *lab) wantSent(prefix string, n int) {
	l.t.Helper()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(prefix, i))
	}
	if got := l.nats.midsOf(prefix); fmt.Sprint(got) != fmt.Sprint(want) {
		l.t.Errorf("sent are %v, want %v", got, want)
	}
}

// TestPlannedCloseTakesTheRest: however a node ends a connection of its own accord, what
// the client sends until it reads the close frame is carried on, and then its session
// is parked.
func TestPlannedCloseTakesTheRest(t *testing.T) {
	const age = time.Hour
	for name, end := range map[string]func(*lab, *testShard, *testClient){
		"drain": func(_ *lab, s *testShard, _ *testClient) { s.do(func() { s.Drain(0, func() {}) }) },
		"age":   func(l *lab, _ *testShard, _ *testClient) { l.advance(age * 12 / 10) },
		"shed": func(_ *lab, s *testShard, c *testClient) {
			c.sock.extra = 16 << 10
			s.do(s.Shed)
		},
		"drain without room": func(_ *lab, s *testShard, c *testClient) {
			s.out.strained = true
			c.say(object{"to": "echo:/", "mid": "rest-0", "bdy": 1})
			s.do(func() { s.Drain(0, func() {}) })
		},
		"entry lost": func(l *lab, _ *testShard, c *testClient) {
			delete(l.nats.entries, c.id)
			l.store(c.id, 0, 1)
			l.until("the close frame", func() bool { return c.code != 0 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one(func(n *Node) {
				if name == "age" {
					n.Config.MaxConnectionAge = age
				}
			})
			c, peer := s.dial(), l.one().dial()
			c.silent = true
			l.run()
			end(l, s, c)
			l.run()
			if c.code == 0 {
				t.Fatal("not closed")
			}
			if s.out.strained {
				l.wantSent("rest-", 1)
			} else {
				c.say(object{"to": "echo:/", "mid": "rest-0", "bdy": 1})
			}
			c.say(object{"to": "echo:/x", "mid": "rest-1", "bdy": 1})
			c.say(object{"to": peer.address(), "mid": "to-peer", "bdy": 1})
			c.say(object{"to": "echo:/", "mid": "rest-2", "bdy": 1})
			c.leave()
			c.say(object{"to": "echo:/", "mid": "rest-3", "bdy": 1}) // behind its goodbye
			l.run()
			if s.out.strained {
				l.wantSent("rest-", 1) // it is held back, and not lost
				s.out.relieve()
			}
			l.wantSent("rest-", 3)
			if m := peer.next(); m.text("mid") != "to-peer" {
				t.Errorf("the peer gets %s", m.raw)
			}
			if name != "entry lost" {
				l.parked(c.id)
			}
		})
	}
}

// TestRestOfAnAcked: confirmations in the rest count, too.
func TestRestOfAnAcked(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dialAcked()
	c.silent = true
	l.store(c.id, 0, 1)
	m := c.next()
	s.do(func() { s.Drain(0, func() {}) })
	c.ack(m.text("hdr", "x-seq"))
	c.leave()
	l.run()
	l.parked(c.id)
	if e := l.entry(c.id); e.Floor != l.nats.last(c.id) {
		t.Errorf("%+v", e)
	}
}

// TestRestWhileItIsBusy: the close waits for a session that opens or moves, and for the
// directory's word on a signed message; behind that the rest is taken as of any other.
func TestRestWhileItIsBusy(t *testing.T) {
	t.Run("opening", func(t *testing.T) {
		l := newLab(t)
		s := l.one()
		s.out.hold()
		c := s.knock(dialOptions{})
		c.say(object{"to": "echo:/", "frm": "client:/", "mid": "rest-0", "bdy": 1})
		s.do(func() { s.Drain(0, func() {}) })
		s.out.let()
		c.welcomed()
		c.closed(protocol.CloseRestart)
		l.wantSent("rest-", 1)
		l.parked(c.id)
	})
	t.Run("resume", func(t *testing.T) {
		l := newLab(t)
		s, c, sid := l.crowdWithout()
		s.node.pool.hold()
		c.asks(object{"id": string(sid)})
		c.say(object{"to": "echo:/", "mid": "rest-0", "bdy": 1})
		l.run()
		s.do(func() { s.Drain(0, func() {}) })
		s.node.pool.let()
		c.closed(protocol.CloseRestart)
		l.wantSent("rest-", 1)
		if list := l.nats.sent(); !strings.Contains(string(list[len(list)-1].Data), string(sid)) {
			t.Errorf("not of the session that was asked for: %s", list[len(list)-1].Data)
		}
		l.parked(sid)
	})
	t.Run("signed", func(t *testing.T) {
		l := newLab(t)
		s := l.one(signing(false))
		c := s.dialWith(second())
		c.silent = true
		say := func(i int) {
			c.raw(c.signed("echo:/", c.address(), fmt.Sprint("rest-", i), "", 1))
		}
		s.out.hold()
		say(0)
		l.run()
		s.do(func() { s.Drain(0, func() {}) })
		say(1)
		s.out.let()
		c.closed(protocol.CloseRestart)
		say(2)
		c.leave()
		l.run()
		l.wantSent("rest-", 3)
		l.parked(c.id)
	})
	t.Run("in vain", func(t *testing.T) {
		l := newLab(t)
		s, c, sid := l.crowdWithout()
		s.node.pool.hold()
		c.asks(object{"id": string(sid)})
		l.run()
		s.do(func() { s.Drain(0, func() {}) })
		c.closed(protocol.CloseRestart)
	})
}

// TestRestOfASessionThatHasGoneOn: the client is faster at its next node than its last
// words at this one. They are still its own, and the next one keeps the session.
func TestRestOfASessionThatHasGoneOn(t *testing.T) {
	l := newLab(t)
	s, other := l.one(), l.one()
	c := s.dialAcked()
	c.silent = true
	s.do(func() { s.Drain(0, func() {}) })
	again := other.dialAcked()
	again.resumes(object{"id": string(c.id)})
	c.say(object{"to": "echo:/", "mid": "rest-0", "bdy": 1})
	c.leave()
	l.run()
	l.wantSent("rest-", 1)
	again.serves()
	l.store(again.id, 0, 1)
	again.gets(0, 1)
	if c.code != protocol.CloseRestart.Number() {
		t.Errorf("closed with %d", c.code)
	}
}

// TestNoRest: a client that is closed for what it did, or a session that another socket
// has taken, has nothing more to say; nor has one that sends nonsense on its way out.
func TestNoRest(t *testing.T) {
	for name, end := range map[string]func(*lab, *testShard, *testClient){
		"policy":  func(_ *lab, _ *testShard, c *testClient) { c.raw("nonsense") },
		"expired": func(_ *lab, s *testShard, c *testClient) { s.do(c.expired) },
		"taken":   func(l *lab, s *testShard, c *testClient) { s.dial().resumes(object{"id": string(c.id)}) },
		"nonsense behind a planned close": func(_ *lab, s *testShard, c *testClient) {
			s.do(func() { s.Drain(0, func() {}) })
			c.raw("nonsense")
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one()
			c := s.dial()
			c.silent = true
			end(l, s, c)
			l.run()
			if c.code == 0 {
				t.Fatal("not closed")
			}
			c.say(object{"to": "echo:/", "mid": "rest-0", "bdy": 1})
			c.leave()
			l.run()
			l.wantSent("rest-", 0)
		})
	}
}
