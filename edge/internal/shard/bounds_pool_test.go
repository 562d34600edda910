package shard

import (
	"context"
	"fmt"
	"testing"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
)

// The bounds of a shard, each of them hit: who is at the bound is told so, others
// notice nothing, what was accepted arrives, and the metric with the bound's name
// moves. The bounds of the outbox and of the pool themselves are tested with them.

const version = "/v1/router/version"

// answersVersion has the router answer a question.
func (n *testNode) answersVersion() {
	n.routes[version] = func(context.Context) ([]byte, error) { return []byte(`"1.2.3"`), nil }
}

// sized is message i of a session, with a body of so many bytes.
func sized(sid scheme.SID, i, size int) []byte {
	return fmt.Appendf(nil, `{"to":"%s@client:/","frm":"test:/","mid":"stored-%d","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":"%0*d"}`, sid, i, size, i)
}

// storeSized puts messages number from to below to, of that size, into a mailbox.
func (l *lab) storeSized(sid scheme.SID, from, to, size int) {
	for i := from; i < to; i++ {
		l.nats.append(&stored{sid: sid, data: sized(sid, i, size)})
	}
	l.run()
}

// behind waits until a session has messages that its client has no room for.
func (s *testShard) behind(c *testClient) {
	s.l.t.Helper()
	s.l.until("a session that is behind", func() bool { return s.held[c.id].core.State() == session.Behind })
}

// TestPoolFull: as many blocking calls wait for NATS as may.
func TestPoolFull(t *testing.T) {
	l := newLab(t)
	n := l.node(2)
	here, there := n.shards[0], n.shards[1]
	n.answersVersion()
	old, other, away := here.dial(), here.dial(), there.dial()
	away.drop()
	l.parked(away.id)
	// A session whose client does not read is behind: it will need the pool.
	const many, size = 64, 200 << 10
	slow := there.dial()
	slow.hangs()
	l.storeSized(slow.id, 0, many, size)
	there.behind(slow)

	n.pool.full = true
	const full = "hydrant_pool_full_total"
	n.counts(full, func() {
		old.refused(protocol.CodeOverload, object{"to": string(scheme.NewSID()) + "@client:/", "bdy": "to one that has to be looked up"})
	})
	n.counts(full, func() { old.refused(protocol.CodeOverload, object{"to": "hydra-router:[GET]" + version, "bdy": 1}) })
	n.counts(full, func() {
		old.refused(protocol.CodeOverload, object{"to": "hydra-router:/", "typ": "wsdir.loc", "bdy": object{"clientID": string(away.id)}})
	})
	n.counts(full, func() { // closed with a code that says: later
		again := here.dial()
		again.asks(object{"id": string(away.id)})
		again.closed(protocol.CloseOverload)
	})
	n.counts(full, func() { // there is room: the next ones are asked for
		slow.reads()
		slow.gets(0, 1)
	})
	// Others are served, and new ones too.
	old.serves()
	fresh := here.dial()
	l.store(other.id, 0, 1)
	other.gets(0, 1)
	l.store(fresh.id, 0, 3)
	fresh.gets(0, 3)

	n.pool.full = false
	slow.gets(1, many)
	l.store(away.id, 0, 3)
	again := here.dial()
	again.resumes(object{"id": string(away.id)})
	again.gets(0, 3)
}

// TestLookUpFull: as many messages as may wait for one look-up.
func TestLookUpFull(t *testing.T) {
	l := newLab(t)
	s, there := l.one(), l.one()
	c, other, far := s.dial(), s.dial(), there.dial()
	s.node.pool.hold()
	for i := range maxWaiting {
		c.say(object{"to": far.address(), "mid": fmt.Sprint("stored-", i), "bdy": 1})
	}
	c.serves()
	s.node.counts(`hydrant_dropped_total{reason="look_up"}`, func() {
		c.refused(protocol.CodeOverload, object{"to": far.address(), "bdy": 1})
	})
	other.say(object{"to": c.address(), "mid": "stored-0", "bdy": "needs no look-up"})
	c.gets(0, 1)
	far.quiet()
	s.node.pool.let()
	far.gets(0, maxWaiting)
	c.say(object{"to": far.address(), "mid": fmt.Sprint("stored-", maxWaiting), "bdy": "there is room again"})
	far.gets(maxWaiting, maxWaiting+1)
	far.quiet()
	if s.out.kept != 0 || len(s.lookups) != 0 {
		t.Errorf("%d bytes are still said to wait, for %d look-ups", s.out.kept, len(s.lookups))
	}
}

// TestCallsOfOneClient: what one client asks of the router leaves room for what
// others need from the pool.
func TestCallsOfOneClient(t *testing.T) {
	l := newLab(t)
	s := l.one()
	s.node.answersVersion()
	c, other := s.dial(), s.dial()
	ask := func(i int) object {
		if i%2 == 0 {
			return object{"to": "hydra-router:[GET]" + version, "bdy": 1}
		}
		return object{"to": "hydra-router:/", "typ": "wsdir.loc", "bdy": object{"clientID": string(other.id)}}
	}
	s.node.pool.hold()
	const asked = 3 * maxCallsPerClient
	for i := range asked {
		c.say(ask(i))
	}
	l.run()
	if queued, back := len(s.node.pool.jobs), s.tally.HeldBack.Load(); queued != maxCallsPerClient || back != 1 {
		t.Errorf("%d calls wait, clients were held back %d times", queued, back)
	}
	s.do(func() { // what else has held it back ends
		s.holdBack(c.Client)
		s.Relieve()
	})
	other.say(ask(0)) // has its own
	l.run()
	if queued := len(s.node.pool.jobs); queued != maxCallsPerClient+1 {
		t.Errorf("%d calls wait", queued)
	}
	s.node.pool.let()
	for c, want := range map[*testClient]int{c: asked, other: 1} {
		for range want {
			if m := c.next(); m.at("bdy", "error") != nil {
				t.Errorf("answered with %s", m.raw)
			}
		}
		c.quiet()
	}
}

// TestHeldBackForTwoReasons: a client that is held back for the way to NATS is not
// read from because a call of its has ended.
func TestHeldBackForTwoReasons(t *testing.T) {
	l := newLab(t)
	s := l.one()
	s.node.answersVersion()
	c := s.dial()
	s.node.pool.hold()
	c.say(object{"to": "hydra-router:[GET]" + version, "bdy": 1})
	l.run()
	s.do(func() { s.holdBack(c.Client) })
	s.node.pool.let()
	if m := c.next(); m.text("bdy") != "1.2.3" {
		t.Errorf("answered with %s", m.raw)
	}
	c.say(object{"to": "hydra-router:/", "typ": "ping", "bdy": 1})
	c.quiet()
	s.out.relieve()
	if m := c.next(); m.text("typ") != protocol.TypePong {
		t.Errorf("answered with %s", m.raw)
	}
}
