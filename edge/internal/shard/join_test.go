package shard

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// longConnected lets time pass, and each loop know since when it is connected.
func (l *lab) longConnected() {
	for _, n := range l.nodes {
		for _, s := range n.shards {
			if !n.gone {
				s.dial()
			}
		}
	}
	l.advance(time.Minute)
}

// orphans are sessions of one partition whose node has died. Their clients have had
// messages 0 and 1 each.
func (l *lab) orphans(s *testShard, count int, acked bool) (list []*testClient) {
	l.t.Helper()
	l.longConnected()
	for len(list) < count {
		c := s.dialWith(dialOptions{Arrival: Arrival{Second: true, Acked: acked}})
		if s.node.Mailboxes.PartitionOf(c.id) != 0 {
			continue
		}
		list = append(list, c)
		l.store(c.id, 0, 2)
		for range 2 {
			if m := c.next(); acked {
				c.ack(m.text("hdr", "x-seq"))
			}
		}
	}
	l.advance(10 * time.Second) // the directory knows how far they are
	s.node.kill()
	return list
}

// fill stores messages from to below to for all of them, in turns.
func (l *lab) fill(list []*testClient, from, to int) {
	for i := from; i < to; i++ {
		for _, c := range list {
			l.store(c.id, i, i+1)
		}
	}
}

// back resumes them one after the other; each gets messages from to below to.
func (s *testShard) back(list []*testClient, acked bool, from, to int) (clients []*testClient) {
	s.l.t.Helper()
	for _, old := range list {
		c := s.knock(backTo(old, acked, 2))
		c.resumed(old)
		c.gets(from, to)
		clients = append(clients, c)
	}
	return clients
}

// TestPass: sessions of a node that died come back. What waits for them is read for all
// of them together, but for the first few, and goes on where it was told.
func TestPass(t *testing.T) {
	for _, acked := range []bool{false, true} {
		for name, limit := range map[string]int{"in one piece": 0, "in pieces": 60} {
			t.Run(fmt.Sprint(name, "/acked ", acked), func(t *testing.T) {
				l := newLab(t)
				from, to := l.one(), l.one()
				l.nats.pieceLimit = limit
				list := l.orphans(from, 30, acked)
				l.fill(list, 2, 12)
				clients := to.back(list, acked, 2, 12)
				if n := to.node.from(stats.FromPass); n < 210 {
					t.Errorf("%v of 300 came out of a pass", n)
				}
				if n := to.node.metric(`hydrant_passes_total{end="read"}`); n != 1 {
					t.Errorf("%v passes", n)
				}
				l.fill(list, 12, 13)
				for _, c := range clients {
					c.gets(12, 13)
					c.quiet()
				}
				l.advance(10 * time.Second)
				if bytes, waiting := to.node.Crowd.Held(); bytes != 0 || waiting != 0 {
					t.Errorf("%d bytes are left, %d wait", bytes, waiting)
				}
			})
		}
	}
}

// TestPassAtOnce: all come at the same time, and wait for the one that is begun.
func TestPassAtOnce(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	list := l.orphans(from, 30, false)
	l.fill(list, 2, 12)
	l.nats.faults.piece = func(uint64) fault { return fault{late: 30 * time.Millisecond} }
	var clients []*testClient
	for _, old := range list {
		clients = append(clients, to.knock(backTo(old, false, 2)))
	}
	for i, c := range clients {
		c.resumed(list[i])
		c.gets(2, 12)
	}
	if n, pieces := to.node.from(stats.FromPass), l.nats.pieces; n < 190 || pieces != 1 {
		t.Errorf("%v of 300 came out of a pass of %d pieces", n, pieces)
	}
}

// TestPassGoesOn: what is stored after a pass is read by going on from its end.
func TestPassGoesOn(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	list := l.orphans(from, 40, false)
	l.fill(list, 2, 12)
	to.back(list[:20], false, 2, 12)
	first, pieces := to.node.from(stats.FromPass), l.nats.pieces
	l.fill(list[20:], 12, 20)
	var lowest uint64
	l.nats.faults.piece = func(from uint64) fault { lowest = from; return fault{} }
	to.back(list[20:], false, 2, 20)
	if n := to.node.from(stats.FromPass) - first; n < 150 || l.nats.pieces != pieces+1 {
		t.Errorf("%v of 360 came out of it, by %d pieces more", n, l.nats.pieces-pieces)
	}
	if half := l.nats.seq / 3; lowest < half {
		t.Errorf("it is read from %d again", lowest)
	}
}

// TestPassOfATrimmedStream: mailboxes overflow between the pieces of a pass, and behind it.
// What is gone is told, and nothing else is skipped.
func TestPassOfATrimmedStream(t *testing.T) {
	for name, when := range map[string]int{"at the first piece": 1, "at the second piece": 2, "at the last piece": 3} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			from, to := l.one(), l.one()
			l.nats.limit, l.nats.pieceLimit = 14, 60
			list := l.orphans(from, 20, true)
			l.fill(list, 2, 10)
			full := list[15:]
			l.nats.faults.piece = func(uint64) fault {
				if l.nats.pieces == when {
					l.fill(full, 10, 20)
				}
				return fault{}
			}
			to.back(list[:15], true, 2, 10)
			if l.nats.pieces < 3 {
				t.Fatalf("%d pieces", l.nats.pieces)
			}
			for _, old := range full {
				c := to.knock(backTo(old, true, 2))
				c.resumed(old)
				c.complete(2, 20)
			}
		})
	}
}

// complete takes messages in order, and gaps that name those that are missing.
func (c *testClient) complete(from, to int) {
	c.l.t.Helper()
	gap := false
	for i := from; i < to; {
		m := c.next()
		var n int
		switch _, err := fmt.Sscanf(m.text("mid"), "stored-%d", &n); {
		case m.text("typ") == protocol.TypeGap:
			gap = true
		case err != nil || n < i || n > i && !gap:
			c.l.t.Fatalf("%s comes where stored-%d is next", m.raw, i)
		default:
			i, gap = n+1, false
		}
	}
}

// TestPositionBeforeThePass: a session whose position lies before the pass reads by
// itself, all of it.
func TestPositionBeforeThePass(t *testing.T) {
	l := newLab(t)
	from, to, first := l.one(), l.one(), l.one()
	early := l.orphans(first, 1, false)[0]
	list := l.orphans(from, 20, false)
	l.fill(append(list, early), 2, 12)
	to.back(list, false, 2, 12)
	if !to.node.Crowd.Has(0) {
		t.Fatal("there is no pass")
	}
	before := to.node.from(stats.FromStore)
	to.back([]*testClient{early}, false, 2, 12)
	if n := to.node.from(stats.FromStore) - before; n != 10 {
		t.Errorf("%v of 10 were read", n)
	}
}

// TestPassAndTimesToLive: what is too old by the clock of the store is not delivered out
// of a pass, and what is not is.
func TestPassAndTimesToLive(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	list := l.orphans(from, 20, false)
	l.fill(list, 2, 4)
	for _, c := range list {
		l.nats.append(&stored{sid: c.id, data: numbered(c.id, 4), ttl: true, expires: l.now + 3*time.Second})
	}
	l.fill(list, 5, 12)
	l.run()
	for i, old := range list[:12] {
		c := to.back([]*testClient{old}, false, 2, 12)
		if i == 0 && len(c) != 1 {
			t.Fatal("nothing")
		}
	}
	l.advance(3 * time.Second) // the pass is here still
	before := to.node.from(stats.FromPass)
	for _, old := range list[12:] {
		c := to.back([]*testClient{old}, false, 2, 4)[0]
		c.gets(5, 12)
	}
	if n := to.node.from(stats.FromPass) - before; n != 8*9 {
		t.Errorf("%v came out of the pass", n)
	}
}

// TestPassOfAnotherLog: the message at a position is another one than it was: the store
// is asked what became of it.
func TestPassOfAnotherLog(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.store(c.id, 0, 1)
	c.gets(0, 1)
	l.advance(10 * time.Second)
	h := s.held[c.id]
	at, now := h.core.Floor(), l.clock().UnixNano()
	msgs := []store.Stored{{Seq: at, Time: h.core.FloorTime()}, {Seq: at + 1, Payload: numbered(c.id, 1)}}
	if len(h.copiesOf(msgs, at+1, now)) != 1 {
		t.Fatal("the right one is not taken")
	}
	if beyond := append(slices.Clone(msgs), store.Stored{Seq: at + 2}); len(h.copiesOf(beyond, at+1, now)) != 1 {
		t.Error("what is behind the marker is taken")
	}
	for name, change := range map[string]func([]store.Stored){
		"another time":       func(m []store.Stored) { m[0].Time++ },
		"a rival's marker":   func(m []store.Stored) { m[1].Mark, m[1].Holder = true, 77 },
		"no time to compare": func(m []store.Stored) { m[1].TTL, m[1].Life = true, time.Hour },
		"no life to compare": func(m []store.Stored) { m[1].TTL, m[1].Time = true, now },
	} {
		m := slices.Clone(msgs)
		change(m)
		if got := h.copiesOf(m, at+1, now); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	msgs[1].TTL, msgs[1].Life, msgs[1].Time = true, time.Hour, now
	if got := h.copiesOf(msgs, at+1, 0); got != nil {
		t.Errorf("without a clock: %v", got)
	}
	if got := h.copiesOf(msgs, at+1, now+int64(time.Hour)); len(got) != 1 || got[0].Mark == 0 || got[0].Payload != nil {
		t.Errorf("its time is over: %v", got)
	}
}

// TestWitnessTooLate: what has waited too long for its witness is not used.
func TestWitnessTooLate(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	l.nats.pieceLimit = 60
	list := l.orphans(from, 30, false)
	l.fill(list, 2, 12)
	to.back(list[:15], false, 2, 12)
	before := to.node.from(stats.FromPass)
	if before == 0 {
		t.Fatal("there is no pass")
	}
	to.node.pool.slow = witnessPatience + time.Millisecond
	to.back(list[15:], false, 2, 12)
	if n := to.node.from(stats.FromPass) - before; n != 0 {
		t.Errorf("%v came out of the pass", n)
	}
}

// TestPassOfParkedSessions: the node that has parked sessions dies with what it had kept.
func TestPassOfParkedSessions(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	l.longConnected()
	var list []*testClient
	for len(list) < 20 {
		if c := from.dialWith(dialOptions{Arrival: Arrival{Second: true}}); to.node.Mailboxes.PartitionOf(c.id) == 0 {
			l.store(c.id, 0, 2)
			c.gets(0, 2)
			c.drop()
			l.parked(c.id)
			list = append(list, c)
		}
	}
	l.fill(list, 2, 12)
	from.node.kill()
	to.back(list, false, 2, 12)
	if n := to.node.from(stats.FromPass); n < 150 {
		t.Errorf("%v of 200 came out of a pass", n)
	}
}
