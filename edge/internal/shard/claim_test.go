package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/takeover"
)

// Claims that meet others.

// elsewhere is a session on a node that the test plays, and answers for.
func (l *lab) elsewhere(answer func() (takeover.Answer, ownership.Reply)) (scheme.SID, *int) {
	l.t.Helper()
	sid, asked := scheme.NewSID(), 0
	e := scheme.Entry{Node: scheme.NewNodeID(), Holder: 1, State: scheme.StateLive}
	if _, err := l.nats.swap(sid, &e, 0, nil); err != nil {
		l.t.Fatal(err)
	}
	l.nats.strangers[e.Node] = func([]byte) (takeover.Answer, ownership.Reply) {
		asked++
		return answer()
	}
	return sid, &asked
}

// TestEntryChangesUnderAClaim: the holder writes its entry between a claim's look
// at it and the claim's write. It has been asked, so the claim goes on.
func TestEntryChangesUnderAClaim(t *testing.T) {
	l := newLab(t)
	var sid scheme.SID
	sid, asked := l.elsewhere(func() (takeover.Answer, ownership.Reply) {
		l.change(sid, func(e *scheme.Entry) { e.Floor++ })
		return takeover.Answer{Found: true, Position: scheme.Position{Floor: 7, Seen: 7}}, ownership.Given
	})
	c := l.one().dial()
	c.resumes(object{"id": string(sid)})
	if e := l.entry(sid); *asked != 1 || e.Floor != 7 {
		t.Errorf("asked %d times; %+v", *asked, e)
	}
}

// TestClaimLosesARace: another claim is faster. Without numbers of attempts none
// of the two knows which is newer, and the slower one is to come back; with them
// the newer one goes on.
func TestClaimLosesARace(t *testing.T) {
	for name, c := range map[string]struct {
		own, other uint64
		want       protocol.Close // CloseGoingAway: it wins
	}{
		"no numbers":         {0, 0, protocol.CloseOverload},
		"the other has none": {3, 0, protocol.CloseGoingAway},
		"this is newer":      {3, 2, protocol.CloseGoingAway},
		"the same":           {3, 3, protocol.CloseGoingAway},
		"the other is newer": {3, 4, protocol.CloseTakenOver},
		"this has none":      {0, 4, protocol.CloseOverload},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s, client, sid := l.crowdWithout()
			first := true
			l.nats.faults.save = func(op *egress.Op) fault {
				if op.SID == sid && first {
					first = false
					l.steal(sid, scheme.StateParked)
					l.change(sid, func(e *scheme.Entry) { e.Attempt = c.other })
				}
				return fault{}
			}
			body := object{"id": string(sid)}
			if c.own != 0 {
				body["attempt"] = c.own
			}
			if c.want == protocol.CloseGoingAway {
				client.resumes(body)
				if e := l.entry(sid); e.Attempt != max(c.own, c.other) {
					t.Errorf("%+v", e)
				}
				return
			}
			s.node.counts(`hydrant_resumes_total{result="lost"}`, func() { client.asks(body) })
			client.closed(c.want)
		})
	}
}

// TestClaimIsNotAnswered: the outcome of a claim's write stays unknown. It is tried
// until the time for it is over, and no longer.
func TestClaimIsNotAnswered(t *testing.T) {
	for name, f := range map[string]fault{"not taken": fails(store.ErrUnavailable), "taken": {err: store.ErrUnconfirmed}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s, c, sid := l.crowdWithout()
			l.nats.faults.save = saving(sid, f)
			l.nats.faults.get = func(scheme.SID) fault { return fails(store.ErrUnavailable) }
			c.asks(object{"id": string(sid)})
			l.advance(s.node.Config.HandshakeTimeout)
			c.closed(protocol.CloseOverload)
			l.advance(time.Minute)
			if len(s.claims)+len(s.held) != 0 {
				t.Errorf("%d claims and %d sessions are left", len(s.claims), len(s.held))
			}
		})
	}
}

// TestClaimIsAnsweredLate: the write was taken, and only its repetition tells.
func TestClaimIsAnsweredLate(t *testing.T) {
	l := newLab(t)
	_, c, sid := l.crowdWithout()
	first := true
	l.nats.faults.save = func(op *egress.Op) fault {
		if op.SID == sid && first {
			first = false
			return fault{err: store.ErrUnconfirmed}
		}
		return fault{}
	}
	c.resumes(object{"id": string(sid)})
	l.store(sid, 0, 2)
	c.gets(0, 2)
}

// TestClaimCannotRead: the directory does not answer a claim's read, then it does.
func TestClaimCannotRead(t *testing.T) {
	l := newLab(t)
	s, c, sid := l.crowdWithout()
	l.nats.faults.get = func(scheme.SID) fault { return fails(store.ErrUnavailable) }
	c.asks(object{"id": string(sid)})
	l.advance(2 * time.Second)
	s.node.pool.full = true
	l.advance(2 * time.Second)
	l.nats.faults.get, s.node.pool.full = nil, false
	if m := c.next(); m.text("bdy", "id") != string(sid) {
		t.Errorf("got %s", m.raw)
	}
}

// TestUnreadableClaim (S99): somebody has written over what is in the directory, so the session
// is lost, and its client is told; what is of a later version is not.
func TestUnreadableClaim(t *testing.T) {
	l := newLab(t)
	for _, text := range []string{"an acknowledgement", "", `{"stream":"UMF_WORK","seq":1}`, `{"f":2}`, "[]", "null"} {
		s, c, sid := l.crowdWithout()
		l.nats.write(sid, []byte(text))
		s.node.counts(`hydrant_spoiled_entries_total`, func() {
			s.node.counts(`hydrant_resumes_total{result="expired"}`, func() { c.asks(object{"id": string(sid)}) })
		})
		if m := c.next(); m.at("bdy", "resumed") != false || m.text("bdy", "why") != "expired" {
			t.Errorf("%q: %s", text, m.raw)
		}
	}
	s, c, sid := l.crowdWithout()
	l.nats.write(sid, []byte(`{"v":99}`))
	s.node.counts(`hydrant_resumes_total{result="error"}`, func() { c.asks(object{"id": string(sid)}) })
	c.closed(protocol.CloseOverload)
}

// TestTwoClaims: two sockets of one shard, or of two nodes, ask for the same
// session at the same moment, without numbers. One has it, and no other is left
// with a socket.
func TestTwoClaims(t *testing.T) {
	for name, nodes := range map[string]int{"one loop": 1, "two nodes": 2} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s, one, sid := l.crowdWithout()
			other := s
			if nodes == 2 {
				other = l.one()
			}
			two := other.dial()
			one.asks(object{"id": string(sid)})
			two.asks(object{"id": string(sid)})
			l.advance(5 * time.Second)
			l.store(sid, 0, 2)
			winners := 0
			for _, c := range []*testClient{one, two} {
				if c.code == 0 {
					winners++
					if m := c.next(); m.text("bdy", "id") != string(sid) {
						t.Errorf("got %s", m.raw)
					}
					c.gets(0, 2)
				}
			}
			if winners != 1 {
				t.Errorf("%d have the session; closed with %d and %d", winners, one.code, two.code)
			}
		})
	}
}
