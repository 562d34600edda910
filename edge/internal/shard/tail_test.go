package shard

import (
	"fmt"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/tail"
)

// from is how many messages came from a source after resumes on a node.
func (n *testNode) from(s stats.Source) float64 {
	return n.metric(fmt.Sprintf("hydrant_resume_messages_total{source=%q}", s.String()))
}

// left is a session that was parked on a shard with everything delivered, on a node that
// has been connected for long.
func (l *lab) left(s *testShard, acked bool) *testClient {
	l.t.Helper()
	for _, n := range l.nodes { // each loop knows since when it is connected
		for _, other := range n.shards {
			other.dial()
		}
	}
	l.advance(time.Minute)
	c := s.dialWith(dialOptions{Arrival: Arrival{Second: true, Acked: acked}})
	l.store(c.id, 0, 2)
	for range 2 {
		if m := c.next(); acked {
			c.ack(m.text("hdr", "x-seq"))
		}
	}
	l.run()
	c.drop()
	l.parked(c.id)
	return c
}

// places are where a session may go from one holder to the next.
var places = map[string]func(*lab) (from, to *testShard){
	"same loop":    func(l *lab) (from, to *testShard) { s := l.one(); return s, s },
	"same node":    func(l *lab) (from, to *testShard) { n := l.node(2); return n.shards[0], n.shards[1] },
	"another node": func(l *lab) (from, to *testShard) { return l.node(2).shards[1], l.one() },
}

// TestTail: what came while a session was parked is in the memory of the node that has
// parked it, wherever the session goes, and is delivered without a read of the store.
func TestTail(t *testing.T) {
	for name, place := range places {
		for _, acked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/acked ", acked), func(t *testing.T) {
				l := newLab(t)
				from, to := place(l)
				old := l.left(from, acked)
				l.store(old.id, 2, 40)
				l.nats.faults.read = func(scheme.SID) fault { t.Error("the store is read"); return fault{} }
				_, before := from.node.Tails.Held()
				c := to.knock(backTo(old, acked, 2))
				c.resumed(old)
				c.gets(2, 40)
				if _, after := from.node.Tails.Held(); after > before/4 {
					t.Errorf("%d bytes are kept that were handed over, of %d", after, before)
				}
				l.store(old.id, 40, 42)
				c.gets(40, 42)
				if n := to.node.from(stats.FromTail); n != 38 {
					t.Errorf("%v came out of the tail", n)
				}
				l.advance(from.node.Config.Linger)
				if tails, bytes := from.node.Tails.Held(); tails != 0 || bytes != 0 {
					t.Errorf("%d tails of %d bytes are left", tails, bytes)
				}
				l.store(old.id, 42, 43)
				c.gets(42, 43)
				for subject, list := range l.nats.listeners {
					if subject == scheme.LiveWildcard(old.id) && len(list) != 1 {
						t.Errorf("%d listen", len(list))
					}
				}
			})
		}
	}
}

// TestTailInParts: what does not fit into one answer is asked for again.
func TestTailInParts(t *testing.T) {
	l := newLab(t)
	from, to := l.one(func(n *Node) { n.MaxPayload.Store(1000) }), l.one()
	old := l.left(from, false)
	l.store(old.id, 2, 40)
	l.nats.faults.read = func(scheme.SID) fault { t.Error("the store is read"); return fault{} }
	c := to.knock(backTo(old, false, 2))
	c.resumed(old)
	c.gets(2, 40)
	if n := from.node.metric("hydrant_tail_parts_total"); n < 10 {
		t.Errorf("%v parts", n)
	}
}

// TestTailWithoutRoom: what does not fit is read from the store, behind what does.
func TestTailWithoutRoom(t *testing.T) {
	for name, budget := range map[string]int64{"none": 0, "little": 4000} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			from, to := l.one(func(n *Node) { n.Tails = tail.NewBudget(budget) }), l.one()
			old := l.left(from, false)
			l.store(old.id, 2, 90)
			c := to.knock(backTo(old, false, 2))
			c.resumed(old)
			c.gets(2, 90)
			kept, read := to.node.from(stats.FromTail), to.node.from(stats.FromStore)
			if kept+read != 88 || read == 0 || (kept == 0) != (budget == 0) {
				t.Errorf("%v out of the tail, %v out of the store", kept, read)
			}
			if _, bytes := from.node.Tails.Held(); bytes > budget {
				t.Errorf("%d bytes", bytes)
			}
		})
	}
}

// TestTailGoes: what ends a tail costs its holder's successor a read, and nothing else.
func TestTailGoes(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(l *lab, from *testShard, sid scheme.SID)
		why     stats.TailEnd
		some    bool // of it is used
	}{
		"its time is over":       {func(l *lab, from *testShard, _ scheme.SID) { l.advance(from.node.Config.Linger + lingerEvery) }, stats.TailOver, false},
		"the connection is lost": {func(_ *lab, from *testShard, _ scheme.SID) { from.do(from.Disconnected) }, stats.TailDisconnected, false},
		"another connection":     {func(_ *lab, from *testShard, _ scheme.SID) { from.node.reconnect() }, stats.TailDisconnected, false},
		"the stream has a leader": {func(_ *lab, from *testShard, sid scheme.SID) {
			from.do(func() { from.LeaderChanged(from.node.Mailboxes.PartitionOf(sid)) })
		}, stats.TailLeader, false},
		"memory is short":          {func(_ *lab, from *testShard, _ scheme.SID) { from.do(from.DropTails) }, stats.TailMemory, false},
		"a copy comes again":       {func(l *lab, from *testShard, sid scheme.SID) { l.again(from, sid) }, stats.TailWentBack, false},
		"a copy is lost":           {func(l *lab, from *testShard, sid scheme.SID) { from.deaf = true; l.store(sid, 8, 9); from.deaf = false }, stats.TailBroken, true},
		"the node dies":            {func(_ *lab, from *testShard, _ scheme.SID) { from.node.kill() }, 0, false},
		"the node is cut off":      {func(_ *lab, from *testShard, _ scheme.SID) { from.node.cutOff() }, 0, false},
		"the process stands still": {func(_ *lab, from *testShard, _ scheme.SID) { from.doze() }, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			from, to := l.one(), l.one()
			old := l.left(from, false)
			l.store(old.id, 2, 8)
			before := 0.0
			if c.why != 0 {
				before = from.node.metric(fmt.Sprintf("hydrant_tails_ended_total{reason=%q}", c.why))
			}
			c.happens(l, from, old.id)
			l.store(old.id, 9, 12)
			if c.why != 0 || name == "its time is over" {
				if n := from.node.metric(fmt.Sprintf("hydrant_tails_ended_total{reason=%q}", c.why)); n != before+1 && c.why != 0 || n == 0 {
					t.Errorf("%v ended so", n-before)
				}
			}
			began := l.now
			client := to.knock(backTo(old, false, 2))
			client.resumed(old)
			client.gets(2, 8)
			if name == "a copy is lost" {
				client.gets(8, 9)
			}
			client.gets(9, 12)
			if took := l.now - began; took > 2*tailPatience {
				t.Errorf("it took %v", took)
			}
			if kept := to.node.from(stats.FromTail); (kept > 0) != c.some {
				t.Errorf("%v came out of a tail", kept)
			}
		})
	}
}

// again has the last copy of a mailbox come once more.
func (l *lab) again(s *testShard, sid scheme.SID) {
	last := l.nats.last(sid)
	for _, m := range l.nats.log {
		if m.seq == last {
			s.receive(m.copy(last - 1))
		}
	}
	l.run()
}

// TestTailLies: a node that has another holder's, or says what cannot be read, costs time.
func TestTailLies(t *testing.T) {
	for name, lie := range map[string]func(right []byte) []byte{
		"another holder": func(right []byte) []byte { right[3] ^= 1; return right },
		"half of it":     func(right []byte) []byte { return right[:len(right)/2] },
		"another form":   func(right []byte) []byte { right[0]++; return right },
		"nothing":        func([]byte) []byte { return nil },
		"an error":       func([]byte) []byte { return []byte("-ERR 'Permissions Violation'") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			from, to := l.one(), l.one()
			old := l.left(from, false)
			l.store(old.id, 2, 20)
			kept := from.lingering[old.id]
			l.nats.faults.tail = func([]byte) ([]byte, bool) {
				return lie(kept.tail.Part(kept.key.Holder, 0, tail.MaxPart, l.clock())), true
			}
			c := to.knock(backTo(old, false, 2))
			c.resumed(old)
			c.gets(2, 20)
			if n := to.node.metric("hydrant_tail_misses_total"); n != 1 {
				t.Errorf("%v are counted", n)
			}
			if n := to.node.from(stats.FromStore); n != 18 {
				t.Errorf("%v were read", n)
			}
		})
	}
}

// TestTailOfOlderHolder: who was given the session in between keeps no tail of the one
// before for the next.
func TestTailOfOlderHolder(t *testing.T) {
	l := newLab(t)
	x, y, z := l.one(), l.one(), l.one()
	old := l.left(x, false)
	l.store(old.id, 2, 5)
	c := y.knock(backTo(old, false, 2))
	c.resumed(old)
	c.gets(2, 5)
	l.run()
	c.drop()
	l.parked(old.id)
	l.store(old.id, 5, 9)
	c = z.knock(backTo(old, false, 3))
	c.resumed(old)
	c.gets(5, 9)
	if n := z.node.from(stats.FromTail); n != 4 {
		t.Errorf("%v came out of the tail", n)
	}
	l.advance(lingerAfter)
	if tails, _ := x.node.Tails.Held(); tails != 0 {
		t.Error("the first tail stays")
	}
}

// TestTailOfUnconfirmed: what was written and not confirmed is read from the store, and
// the tail goes on behind it.
func TestTailOfUnconfirmed(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	l.left(from, false) // for the time
	old := from.dialWith(dialOptions{Arrival: Arrival{Second: true}})
	old.noPong = true
	l.store(old.id, 0, 3)
	old.gets(0, 3)
	old.drop()
	l.parked(old.id)
	l.store(old.id, 3, 200)
	c := to.knock(backTo(old, false, 2))
	c.resumed(old)
	c.gets(0, 200)
	kept, read := to.node.from(stats.FromTail), to.node.from(stats.FromStore)
	if kept+read != 200 || read < 3 || kept == 0 {
		t.Errorf("%v out of the tail, %v out of the store", kept, read)
	}
}

// TestTailAndTimesToLive: a message whose time is over is not delivered out of a tail
// either.
func TestTailAndTimesToLive(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	old := l.left(from, false)
	l.store(old.id, 2, 3)
	l.nats.append(&stored{sid: old.id, data: numbered(old.id, 99), ttl: true, expires: l.now + time.Second})
	l.store(old.id, 3, 4)
	l.advance(2 * time.Second)
	c := to.knock(backTo(old, false, 2))
	c.resumed(old)
	c.gets(2, 4)
	c.quiet()
	if n := to.node.from(stats.FromTail); n != 2 {
		t.Errorf("%v came out of the tail", n)
	}
}

// TestTailOfAFullMailbox: what the mailbox had no room for is delivered all the same, and
// no gap is told.
func TestTailOfAFullMailbox(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	old := l.left(from, true)
	l.nats.limit = 5
	l.store(old.id, 2, 30)
	c := to.knock(backTo(old, true, 2))
	c.resumed(old)
	c.gets(2, 30)
	c.quiet()
}

// TestTailWhileAClaimIsUnderWay: the connection of the claimant is lost while it asks.
// What it gets then counts no more.
func TestTailWhileAClaimIsUnderWay(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	old := l.left(from, false)
	l.store(old.id, 2, 20)
	asked := false
	l.nats.faults.tail = func([]byte) ([]byte, bool) {
		if !asked {
			asked = true
			to.node.reconnect()
		}
		return nil, false
	}
	c := to.knock(backTo(old, false, 2))
	c.resumed(old)
	c.gets(2, 20)
	if n := to.node.from(stats.FromTail); !asked || n != 0 {
		t.Errorf("%v came out of the tail", n)
	}
}

// TestTailWaits: copies that are on their way to the node that keeps them are waited for.
func TestTailWaits(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	old := l.left(from, false)
	l.nats.faults.read = func(scheme.SID) fault { t.Error("the store is read"); return fault{} }
	l.store(old.id, 2, 4)
	prev := l.nats.last(old.id)
	first := prev
	from.deaf = true // the question is faster
	l.nats.append(&stored{sid: old.id, data: numbered(old.id, 4)})
	c := to.knock(backTo(old, false, 2))
	l.until("a question", func() bool { return l.nats.tails > 0 })
	l.after(lingerWait/2, func() {
		from.deaf = false
		for _, m := range l.nats.log {
			if m.sid == old.id && m.seq > first {
				from.receive(m.copy(prev))
				prev = m.seq
			}
		}
	})
	c.resumed(old)
	c.gets(2, 5)
}

// TestSocketGoesWhileATailIsAsked: the session is parked where it got to.
func TestSocketGoesWhileATailIsAsked(t *testing.T) {
	for steps := range 30 {
		l := newLab(t)
		from, to := l.one(), l.one()
		old := l.left(from, false)
		l.store(old.id, 2, 9)
		l.nats.faults.save = func(*egress.Op) fault { return fault{after: time.Millisecond} }
		c := to.knock(backTo(old, false, 2))
		for range steps {
			l.step(l.now + 50*time.Millisecond)
		}
		c.drop()
		l.advance(time.Second)
		again := from.knock(backTo(old, false, 3))
		again.resumed(old)
		l.store(old.id, 9, 10)
		again.find(func(m message) bool { return m.text("mid") == "stored-9" })
		came := make(map[string]bool)
		for _, m := range append(c.got, again.got...) {
			came[m.text("mid")] = true
		}
		for i := 2; i < 9; i++ {
			if !came[fmt.Sprint("stored-", i)] {
				t.Fatalf("after %d steps %d is missing: %v", steps, i, came)
			}
		}
	}
}

// TestTailWaitsForASlowClient: what its socket has no room for is not written long after
// the welcome: another node may have the session by then, and its marker not have come.
func TestTailWaitsForASlowClient(t *testing.T) {
	for name, c := range map[string]struct {
		waits time.Duration
		read  bool
	}{"for a moment": {tailUse / 2, false}, "for long": {tailUse + time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			from, to := l.one(), l.one(func(n *Node) { n.Config.WriteBuffer = 16 << 10 })
			old := l.left(from, false)
			l.store(old.id, 2, 400)
			client := to.knock(backTo(old, false, 2))
			client.hangs()
			l.until("a full socket", client.sock.Full)
			l.advance(c.waits)
			client.reads()
			client.resumed(old)
			client.gets(2, 400)
			if n := to.node.from(stats.FromStore); (n > 0) != c.read || n == 398 {
				t.Errorf("%v were read", n)
			}
		})
	}
}

// moves has a live session resumed elsewhere, with messages stored between its hand-over and
// the marker of the new holder.
func (l *lab) moves(from, to *testShard, acked bool, happens func(sid scheme.SID)) (old, c *testClient) {
	l.t.Helper()
	for _, s := range []*testShard{from, to} {
		s.dial()
	}
	l.advance(time.Minute)
	old = from.dialWith(dialOptions{Arrival: Arrival{Second: true, Acked: acked}})
	l.store(old.id, 0, 2)
	for range 2 {
		if m := old.next(); acked {
			old.ack(m.text("hdr", "x-seq"))
		}
	}
	l.run()
	handed := false
	l.nats.faults.save = func(op *egress.Op) fault {
		if op.SID == old.id && op.Entry.Node == to.node.ID && !handed && op.Entry.Holder != l.entry(old.id).Holder {
			handed = true
			l.store(old.id, 2, 20)
			if happens != nil {
				happens(old.id)
			}
		}
		return fault{}
	}
	c = to.knock(backTo(old, acked, 2))
	c.resumed(old)
	c.gets(2, 20)
	if !handed {
		l.t.Error("nothing was stored in between")
	}
	return old, c
}

// TestTailOfAHandOver: who hands a session over that lacks nothing goes on listening until
// the next holder does, which needs no read of the store for what came in between.
func TestTailOfAHandOver(t *testing.T) {
	for name, place := range places {
		for _, acked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/acked ", acked), func(t *testing.T) {
				l := newLab(t)
				from, to := place(l)
				l.nats.faults.read = func(scheme.SID) fault { t.Error("the store is read"); return fault{} }
				old, c := l.moves(from, to, acked, nil)
				old.closed(protocol.CloseTakenOver)
				old.quiet()
				if n := to.node.from(stats.FromTail); n != 18 {
					t.Errorf("%v came out of the tail", n)
				}
				l.advance(lingerAfter + lingerEvery)
				if tails, bytes := from.node.Tails.Held(); tails != 0 || bytes != 0 {
					t.Errorf("%d tails of %d bytes are left", tails, bytes)
				}
				l.store(old.id, 20, 21)
				c.gets(20, 21)
				if n := len(l.nats.listeners[scheme.LiveWildcard(old.id)]); n != 1 {
					t.Errorf("%d listen", n)
				}
			})
		}
	}
}

// TestTailOfAHandOverGoes: what happens to the node that has handed the session over, or
// what it says, costs its successor a read.
func TestTailOfAHandOverGoes(t *testing.T) {
	for name, happens := range map[string]func(l *lab, from *testShard, sid scheme.SID){
		"it dies":         func(_ *lab, from *testShard, _ scheme.SID) { from.node.kill() },
		"it is cut off":   func(_ *lab, from *testShard, _ scheme.SID) { from.node.cutOff() },
		"it stands still": func(_ *lab, from *testShard, _ scheme.SID) { from.doze() },
		"it loses NATS":   func(_ *lab, from *testShard, _ scheme.SID) { from.do(from.Disconnected) },
		"its memory":      func(_ *lab, from *testShard, _ scheme.SID) { from.do(from.DropTails) },
		"another holder": func(l *lab, from *testShard, sid scheme.SID) {
			kept := from.lingering[sid]
			l.nats.faults.tail = func([]byte) ([]byte, bool) {
				return kept.tail.Part(kept.key.Holder+1, 0, tail.MaxPart, l.clock()), true
			}
		},
		"a broken packing": func(l *lab, from *testShard, sid scheme.SID) {
			kept := from.lingering[sid]
			l.nats.faults.tail = func([]byte) ([]byte, bool) {
				part := kept.tail.Part(kept.key.Holder, 0, tail.MaxPart, l.clock())
				return part[:len(part)-1], true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			from, to := l.one(), l.one()
			began := time.Duration(0)
			_, c := l.moves(from, to, false, func(sid scheme.SID) {
				began = l.now
				if from.lingering[sid] == nil {
					t.Error("nothing is kept")
					return
				}
				happens(l, from, sid)
			})
			if took := l.now - began; took > 2*tailPatience {
				t.Errorf("it took %v", took)
			}
			if n := to.node.from(stats.FromStore); n != 18 {
				t.Errorf("%v were read", n)
			}
			c.quiet()
		})
	}
}

// TestNoTailOfAHandOver: of a session that has something unconfirmed the store has to be
// read anyway, so that nobody listens for it twice.
func TestNoTailOfAHandOver(t *testing.T) {
	l, old, c := moving(t)
	c.asks(object{"id": string(old.id)})
	c.claimed(old.id)
	if tails, _ := old.s.node.Tails.Held(); tails != 0 {
		t.Errorf("%d tails", tails)
	}
	if m := c.next(); m.text("bdy", "id") != string(old.id) {
		t.Fatalf("got %s", m.raw)
	}
	c.gets(0, 1)
	l.run()
}
