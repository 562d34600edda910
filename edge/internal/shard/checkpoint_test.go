package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/stats"
)

// moved are shards' sessions of which each has been sent a message, at times that
// are a while apart.
func (s *testShard) moved(count int, apart time.Duration) (clients []*testClient) {
	for range count {
		c := s.knock(dialOptions{})
		s.l.run()
		c.welcomed()
		clients = append(clients, c)
	}
	s.l.advance(2 * time.Second) // what the opening moved is written
	for _, c := range clients {
		s.l.store(c.id, 0, 1)
		s.l.advance(apart)
	}
	return clients
}

// TestCheckpointAge: a floor is written when it has moved for a while, and what
// has moved by then is in it. Nothing is written that has not moved.
func TestCheckpointAge(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.moved(1, 0)[0]
	first := l.entry(c.id)
	l.advance(checkpointAge - checkpointEvery)
	l.store(c.id, 1, 2)
	if e := l.entry(c.id); e.Floor != first.Floor {
		t.Errorf("floor %d is written early", e.Floor)
	}
	l.advance(2 * checkpointEvery)
	if e := l.entry(c.id); e.Floor != l.nats.last(c.id) || e.State != scheme.StateLive {
		t.Errorf("%+v, the mailbox ends at %d", e, l.nats.last(c.id))
	}
	rev := l.nats.rev
	l.advance(10 * time.Second)
	if l.nats.rev != rev {
		t.Errorf("%d writes more", l.nats.rev-rev)
	}
}

// TestCheckpointOrder: the floors that moved first are written first.
func TestCheckpointOrder(t *testing.T) {
	l := newLab(t)
	s := l.one()
	clients := s.moved(5, 30*time.Millisecond)
	var order []scheme.SID
	l.nats.faults.save = func(op *egress.Op) fault {
		order = append(order, op.SID)
		return fault{}
	}
	l.advance(time.Second)
	for i, c := range clients {
		if len(order) != len(clients) || order[i] != c.id {
			t.Fatalf("written are %v", order)
		}
	}
}

// TestCheckpointRate: a loop writes so many moved floors at a time. The others
// wait for the next time, and how long is to be seen.
func TestCheckpointRate(t *testing.T) {
	l := newLab(t)
	n := l.node(2)
	s := n.shards[0]
	const most = checkpointRate / 2 / int(time.Second/checkpointEvery)
	clients := s.moved(3*most, 0)
	if len(s.dirty) != len(clients) {
		t.Fatalf("%d floors have moved, of %d", len(s.dirty), len(clients))
	}
	began := l.clock()
	l.advance(checkpointAge)
	for _, left := range []int{2 * most, most, 0} {
		if n := len(s.dirty); n != left {
			t.Errorf("%d of %d wait, want %d", n, len(clients), left)
		}
		if from := s.tally.DirtyFrom.Load(); left > 0 && from != began.UnixNano() || left == 0 && from != 0 {
			t.Errorf("the oldest is said to wait since %v", time.Unix(0, from))
		}
		l.advance(checkpointEvery)
	}
	for _, c := range clients {
		if e := l.entry(c.id); e.Floor != l.nats.last(c.id) {
			t.Fatalf("%+v", e)
		}
	}
}

// TestCheckpointOfTheDoubted: what is in doubt is not written as a checkpoint, and
// takes no other's turn; the proof brings its positions along.
func TestCheckpointOfTheDoubted(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.moved(1, 0)[0]
	l.nats.faults.save = saving(c.id, fault{late: 2 * time.Second})
	s.do(func() { s.Stalled(time.Minute) })
	l.advance(time.Second)
	if len(s.dirty) != 0 {
		t.Error("it still waits")
	}
	l.nats.faults.save = nil
	l.advance(5 * time.Second)
	if e := l.entry(c.id); e.Floor != l.nats.last(c.id) {
		t.Errorf("%+v", e)
	}
}

// TestNoCheckpointOfTheSame: a resume that brings nothing writes the directory once, and
// one that brings something once more.
func TestNoCheckpointOfTheSame(t *testing.T) {
	for messages, want := range map[int]int{0: 1, 3: 2} {
		l := newLab(t)
		from, to := l.one(), l.one()
		old := l.left(from, false)
		l.store(old.id, 2, 2+messages)
		c := to.knock(backTo(old, false, 2))
		c.resumed(old)
		c.gets(2, 2+messages)
		l.advance(2 * checkpointAge)
		saves := 0
		for _, op := range to.out.performed(stats.OpSave) {
			if op.SID == old.id {
				saves++
			}
		}
		if saves != want {
			t.Errorf("%d messages: written %d times, want %d", messages, saves, want)
		}
		if e := l.entry(old.id); e.Floor != c.has.core.Floor() {
			t.Errorf("%+v", e)
		}
	}
}
