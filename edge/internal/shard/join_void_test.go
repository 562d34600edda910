package shard

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/stats"
)

// TestSessionMovesDuringAPass: a session that waits for a pass is resumed elsewhere. Its
// first socket gets nothing more, its second one everything.
func TestSessionMovesDuringAPass(t *testing.T) {
	for name, parked := range map[string]bool{"taken over": false, "its socket ends": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			from, to, other := l.one(), l.one(), l.one()
			list := l.orphans(from, 20, false)
			l.fill(list, 2, 12)
			l.nats.faults.piece = func(uint64) fault { return fault{late: 2 * time.Second} }
			var clients []*testClient
			for _, old := range list {
				c := to.knock(backTo(old, false, 2))
				c.resumed(old)
				clients = append(clients, c)
			}
			last, old := clients[19], list[19]
			l.until("sessions that wait", func() bool { _, n := to.node.Crowd.Held(); return n > 10 })
			last.quiet()
			if parked {
				last.drop()
				l.parked(old.id)
			}
			l.nats.faults.piece = nil
			c := other.knock(backTo(old, false, 3))
			c.resumed(old)
			c.gets(2, 12)
			l.advance(5 * time.Second)
			if slices.ContainsFunc(last.got, func(m message) bool { return m.text("mid") != "" && m.text("typ") == "" }) {
				t.Errorf("the first socket got %v", last.got)
			}
			for _, c := range clients[:19] {
				c.gets(2, 12)
			}
			if held := to.held[old.id]; held != nil {
				t.Error("it is held still")
			}
		})
	}
}

// TestPassWhileInDoubt: a session that waits for a pass is put in doubt, and is another
// node's by then. Nothing of the pass is written before that is known, nor after.
func TestPassWhileInDoubt(t *testing.T) {
	l := newLab(t)
	from, to := l.one(), l.one()
	list := l.orphans(from, 20, false)
	l.fill(list, 2, 12)
	l.nats.faults.piece = func(uint64) fault { return fault{late: time.Second} }
	var clients []*testClient
	for _, old := range list {
		c := to.knock(backTo(old, false, 2))
		c.resumed(old)
		clients = append(clients, c)
	}
	l.until("sessions that wait", func() bool { _, n := to.node.Crowd.Held(); return n > 10 })
	l.steal(list[19].id, scheme.StateLive)
	l.nats.faults.save = func(*egress.Op) fault { return fault{late: 3 * time.Second} }
	to.do(func() { to.Stalled(time.Second) })
	l.until("the end of the pass", func() bool { _, n := to.node.Crowd.Held(); return n == 0 })
	l.run()
	clients[19].quiet()
	l.nats.faults.save = nil
	for _, c := range clients[:19] {
		c.gets(2, 12)
	}
	l.until("another holder", func() bool { return clients[19].code != 0 })
	clients[19].quiet()
}

// TestPassWithoutRoom: what a pass has no room for is read by each session.
func TestPassWithoutRoom(t *testing.T) {
	l := newLab(t)
	l.passBytes = 60_000
	from, to := l.one(), l.one()
	l.nats.pieceLimit = 40
	list := l.orphans(from, 30, false)
	l.fill(list[:15], 2, 12)
	l.fill(list[15:], 2, 12)
	most := 0
	for _, old := range list {
		to.back([]*testClient{old}, false, 2, 12)
		bytes, _ := to.node.Crowd.Held()
		most = max(most, bytes)
	}
	passed, read := to.node.from(stats.FromPass), to.node.from(stats.FromStore)
	if passed == 0 || passed+read != 300 || most > l.passBytes || most == 0 {
		t.Errorf("%v came out of a pass, %v were read, %d bytes were kept", passed, read, most)
	}
}

// TestPassIsVoid: what happens to NATS in the middle of a pass, or to memory, costs the
// sessions that wait a read, and nothing else.
func TestPassIsVoid(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(l *lab, to *testShard)
		end     string
		kept    bool
	}{
		"another connection":     {func(_ *lab, to *testShard) { to.node.reconnect() }, "void", false},
		"the connection is lost": {func(l *lab, to *testShard) { to.do(to.Disconnected); l.after(time.Second, to.node.reconnect) }, "void", false},
		"NATS is gone":           {func(l *lab, to *testShard) { to.node.cutOff(); l.after(time.Second, to.node.rejoin) }, "failed", false},
		"NATS refuses": {func(l *lab, _ *testShard) {
			l.nats.faults.piece = func(uint64) fault { return fails(store.ErrRefused) }
		}, "failed", false},
		"the stream has a leader": {func(_ *lab, to *testShard) { to.do(func() { to.LeaderChanged(0) }) }, "void", false},
		"another stream has one":  {func(_ *lab, to *testShard) { to.do(func() { to.LeaderChanged(1) }) }, "read", true},
		"memory is short":         {func(_ *lab, to *testShard) { to.node.Short.Store(true) }, "full", false},
		"what is kept is dropped": {func(_ *lab, to *testShard) { to.node.Crowd.Drop() }, "void", false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			from, to := l.one(), l.one()
			l.nats.pieceLimit = 100
			list := l.orphans(from, 20, false)
			l.fill(list, 2, 12)
			done := false
			l.nats.faults.piece = func(uint64) fault {
				if l.nats.pieces == 2 && !done {
					done = true
					c.happens(l, to)
				}
				return fault{late: 50 * time.Millisecond, after: 50 * time.Millisecond}
			}
			var clients []*testClient
			for _, old := range list {
				clients = append(clients, to.knock(backTo(old, false, 2)))
			}
			for i, client := range clients {
				client.resumed(list[i])
				client.gets(2, 12)
			}
			if n := to.node.metric(fmt.Sprintf("hydrant_passes_total{end=%q}", c.end)); n != 1 || !done {
				t.Errorf("%v ended %s", n, c.end)
			}
			if n := to.node.from(stats.FromPass); (n > 0) != c.kept {
				t.Errorf("%v came out of a pass", n)
			}
		})
	}
}
