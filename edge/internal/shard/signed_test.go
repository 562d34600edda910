package shard

import (
	"fmt"
	"testing"
	"time"

	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// signing has a node ask for signatures, with a window.
func signing(only bool) func(*Node) {
	return func(n *Node) {
		n.Signatures = access.NewSignatures([]string{"secret"}, time.Minute, func() {})
		if only {
			n.Signatures.OnlySessions()
		}
	}
}

// signed is a message with a signature.
func (c *testClient) signed(to, from, mid, typ string, body any) string {
	c.l.t.Helper()
	text := fmt.Appendf(nil, `{"to":"%s","frm":"%s","mid":"%s","ts":"%s","typ":"%s","bdy":%v}`, to, from, mid, umf.AppendTimestamp(nil, c.l.clock()), typ, body)
	var e umf.Envelope
	if err := umf.Scan(text, &e); err != nil {
		c.l.t.Fatal(err)
	}
	return string(e.AppendShort(nil, umf.Set{Field: umf.Signature, Raw: umf.AppendString(nil, umf.NewKeys("secret").Sign(&e))}))
}

func second() dialOptions {
	return dialOptions{Arrival: Arrival{Second: true}}
}

// TestCopyOnAnotherConnection: what names a session is taken over its connection only,
// however old the other client is, and the sender's own message still counts after a
// copy has come first.
func TestCopyOnAnotherConnection(t *testing.T) {
	l := newLab(t)
	a, b := l.one(signing(false)), l.one(signing(false))
	sender := a.dialWith(second())
	for i, thief := range []*testClient{a.dial(), b.dial(), b.dialWith(second()), b.dialAcked()} {
		text := sender.signed("echo:/", sender.address(), fmt.Sprint("m", i), "", 1)
		l.run()
		l.nats.published = nil
		thief.raw(text)
		if m := thief.next(); m.text("bdy", "code") != "bad_signature" {
			t.Errorf("thief %d: answered with %s", i, m.raw)
		}
		thief.closed(protocol.ClosePolicy)
		if list := l.nats.sent(); len(list) > 0 {
			t.Errorf("thief %d: sent %v", i, list)
		}
		sender.raw(text)
		l.run()
		if list := l.nats.sent(); len(list) != 1 {
			t.Errorf("after thief %d: sent %v; the sender got %v", i, list, sender.got)
		}
		sender.got = nil
	}
}

// TestFromOfASignedMessage: clients of the second edition must name their session, old
// ones may name none, unless the node is told otherwise.
func TestFromOfASignedMessage(t *testing.T) {
	for _, test := range []struct {
		second bool
		only   bool
		from   string // "": its own address
		taken  bool
	}{
		{false, false, "client:/", true},
		{false, false, "tester:/", true},
		{false, false, "", true},
		{false, false, "k7abcdefghijklmnopqrstuvwx@client:/", false},
		{false, true, "client:/", false},
		{false, true, "tester:/", false},
		{false, true, "", true},
		{true, false, "client:/", false},
		{true, false, "tester:/", false},
		{true, false, "nonsense", false},
		{true, false, "", true},
		{true, false, "", true},
		{true, false, "@client:/", false},
	} {
		l := newLab(t)
		c := l.one(signing(test.only)).dialWith(dialOptions{Arrival: Arrival{Second: test.second}})
		l.run()
		l.nats.published = nil
		from := test.from
		if from == "" {
			from = c.address()
		}
		c.raw(c.signed("echo:/", from, "m", "", 1))
		l.run()
		if taken := len(l.nats.sent()) == 1; taken != test.taken || (c.code == 0) != taken {
			t.Errorf("%+v: taken %t, the client got %v", test, taken, c.got)
		}
	}
}

// TestReplayOnAnotherNode: what one node has taken no other takes, whatever it is, and
// a resume least of all.
func TestReplayOnAnotherNode(t *testing.T) {
	l := newLab(t)
	a, b := l.one(signing(false)), l.one(signing(false))
	victim := a.dial()
	away := a.dial()
	away.drop()
	l.run()
	for i, text := range []string{
		victim.signed("echo:/", "client:/", "m1", "", 1),
		victim.signed("echo:[GET]/", "client:/", "m2", "", 1),
		victim.signed(victim.address(), "tester:/", "m3", "", 1),
		victim.signed("hydra-router:/", "client:/", "m4", "ping", 1),
		victim.signed("hydra-router:/", "client:/", "m5", "reconnect", fmt.Sprintf(`{"id":"%s","token":"%s"}`, away.id, away.token)),
	} {
		c, thief := a.dial(), b.dial()
		c.raw(text)
		l.run()
		if c.code != 0 {
			t.Errorf("message %d: its sender is closed: %v", i, c.got)
		}
		l.nats.published = nil
		thief.raw(text)
		if m := thief.next(); m.text("bdy", "error") != "Signed UMF message was sent before" {
			t.Errorf("message %d: the thief gets %s", i, m.raw)
		}
		thief.closed(protocol.ClosePolicy)
		if list := l.nats.sent(); len(list) > 0 {
			t.Errorf("message %d: sent %v", i, list)
		}
		if i == 4 && c.has.sid != away.id {
			t.Error("the session has moved")
		}
	}
}

// TestAckToOthersOnAnotherNode: only what confirms is not noted for all nodes, and that
// has to go to the router. The session itself may come to another node, with copies.
func TestAckToOthersOnAnotherNode(t *testing.T) {
	l := newLab(t)
	a, b := l.one(signing(false)), l.one(signing(false))
	c, other := a.dialAcked(), a.dial()
	id, token := c.id, c.token
	var copies []string
	for i, to := range []string{"echo:/", "echo:[GET]/", other.address(), "R-" + string(other.id) + "@hydra-router:/"} {
		text := c.signed(to, c.address(), fmt.Sprint("m", i), protocol.TypeAck, 1)
		copies = append(copies, text)
		c.raw(text)
		l.run()
		if c.code != 0 {
			t.Fatalf("to %s: closed: %v", to, c.got)
		}
	}
	c.drop()
	l.run()
	for i, text := range copies {
		c = b.dialAcked()
		c.raw(c.signed("hydra-router:/", c.address(), fmt.Sprint("r", i), protocol.TypeReconnect, fmt.Sprintf(`{"id":"%s","token":"%s"}`, id, token)))
		l.run()
		if c.has.sid != id {
			t.Fatalf("not resumed: %v", c.got)
		}
		l.nats.published = nil
		c.raw(text)
		l.run()
		if list := l.nats.sent(); len(list) > 0 || c.code != protocol.ClosePolicy.Number() {
			t.Errorf("message %d: closed %d, sent %v", i, c.code, list)
		}
	}
}

// TestSignedInOrder: messages that wait for the directory stay in their order, and
// none is taken that could not be looked up.
func TestSignedInOrder(t *testing.T) {
	l := newLab(t)
	s := l.one(signing(false))
	c, other := s.dial(), s.dial()
	l.nats.faults.once = fault{late: 100 * time.Millisecond, after: 100 * time.Millisecond}
	for i := range 5 {
		c.raw(c.signed(other.address(), "client:/", fmt.Sprint("m", i), "", i+1))
	}
	for i := range 5 {
		if m := other.next(); m.at("bdy") != float64(i+1) {
			t.Fatalf("%s comes where %d is next", m.raw, i+1)
		}
	}
	for err, code := range map[error]protocol.Code{store.ErrUnconfirmed: protocol.CodeTimeout, store.ErrOverload: protocol.CodeOverload, store.ErrUnavailable: protocol.CodeUnavailable} {
		l.nats.faults.once = fault{err: err}
		c.raw(c.signed(other.address(), "client:/", "refused "+code.String(), "", 1))
		if m := c.next(); m.text("bdy", "code") != code.String() {
			t.Errorf("%v: %s", err, m.raw)
		}
	}
	l.nats.faults.once = fault{late: time.Second}
	c.raw(c.signed(other.address(), "client:/", "late", "", 1))
	l.run()
	c.drop()
	l.advance(5 * time.Second)
	other.quiet()
}
